export const helmFile: string
