/** Formats a plain-text table. The first row is the header; columns of numbers are right-aligned. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((row) => row.map(String))
  const numeric = (column: number): boolean => rows.slice(1).every((row) => typeof row[column] === 'number')
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => displayWidth(row[column] ?? ''))),
  )
  return cells
    .map((row) =>
      row
        .map((cell, column) => {
          const padding = ' '.repeat((widths[column] ?? 0) - displayWidth(cell))
          return numeric(column) ? padding + cell : cell + padding
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** Counts code points, which is correct except for wide scripts. */
function displayWidth(text: string): number {
  return [...text].length
}
