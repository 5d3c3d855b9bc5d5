/** The embedding function in LanceDB itself: tables that embed their rows and their queries. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { cosmosFunction } from 'cosmos-embed/lancedb'
import { afterAll, describe, expect, it } from 'vitest'
import { lance } from './lancedb-install.ts'
import { clip, sides, withDemo } from './support.ts'

const found = lance()
const names = ['orange-square.mp4', 'red-circle.mp4', 'purple-heart.webm']
const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-lance-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(typeof found === 'string')(`LanceDB ${typeof found === 'string' ? found : ''}`, () => {
  const { connect, embedding, arrow } = found as Exclude<typeof found, string>
  const demo = withDemo()

  it.each(sides)('finds rows of texts by text, %s', async (side) => {
    const db = await connect(folder)
    const cosmos = await cosmosFunction(embedding, { embedder: demo[side], name: `texts-${side}` })
    const rows = ['a red circle moving left', 'a blue square', 'a green triangle'].map((text) => ({ text }))
    const table = await db.createTable(`texts-${side}`, rows, {
      embeddingFunction: { sourceColumn: 'text', function: cosmos },
    })
    const [best] = await table.search('a red circle').limit(1).toArray()
    expect(best?.text).toBe(rows[0]?.text)
  })

  it('finds rows of videos by text and by video, also in a reopened table', async () => {
    const cosmos = await cosmosFunction(embedding, { embedder: demo.remote, source: 'video', name: 'videos' })
    const schema = embedding.LanceSchema({
      name: new arrow.Utf8(),
      video: cosmos.sourceField(new arrow.Binary()),
      vector: cosmos.vectorField(),
    })
    const made = await (await connect(folder)).createEmptyTable('videos', schema)
    await made.add(names.map((name) => ({ name, video: readFileSync(clip(name)) })))
    const table = await (await connect(folder)).openTable('videos')
    const [byText] = await table.search('a red circle').limit(1).toArray()
    expect(byText?.name).toBe('red-circle.mp4')
    expect(byText?.vector).toHaveLength(256)
    const query = await cosmos.computeQueryEmbeddings(readFileSync(clip('purple-heart.webm')))
    expect(query).toBeInstanceOf(Float32Array)
    expect(query).toHaveLength(256)
  })

  it('accepts paths only if they are allowed', async () => {
    const db = await connect(folder)
    const schemaOf = async (files: boolean) => {
      const cosmos = await cosmosFunction(embedding, {
        ...{ embedder: demo.local, source: 'video' as const },
        ...{ files, name: `paths-${files}` },
      })
      return embedding.LanceSchema({ path: cosmos.sourceField(), vector: cosmos.vectorField() })
    }
    const allowed = await db.createEmptyTable('allowed', await schemaOf(true))
    await allowed.add(names.map((name) => ({ path: clip(name) })))
    const [best] = await allowed.search('an orange square').limit(1).toArray()
    expect(best?.path).toBe(clip('orange-square.mp4'))
    const refused = await db.createEmptyTable('refused', await schemaOf(false))
    await expect(refused.add([{ path: clip('red-circle.mp4') }])).rejects.toThrow('files: true')
  })

  it('refuses to open a table with vectors of another model', async () => {
    const cosmos = await cosmosFunction(embedding, { embedder: demo.local, name: 'other' })
    const kept = JSON.parse(JSON.stringify(cosmos)) as Record<string, string>
    expect(kept).toEqual({ model: 'cosmos-embed-demo', fingerprint: expect.any(String), source: 'text' })
    const Made = cosmos.constructor as new (kept: object) => unknown
    expect(() => new Made(kept)).not.toThrow()
    expect(() => new Made({ ...kept, fingerprint: 'x' })).toThrow('cannot be compared')
    expect(() => new Made({ model: 'another' })).toThrow('another')
  })

  it('names the row that caused an error', async () => {
    const cosmos = await cosmosFunction(embedding, { embedder: demo.remote, name: 'blame' })
    await expect(cosmos.computeSourceEmbeddings(['a', ' '])).rejects.toMatchObject({ index: 1 })
    await expect(cosmos.computeSourceEmbeddings(['a', new Uint8Array(3)])).rejects.toMatchObject({ index: 1 })
  })
})
