/** The examples that serve HTTP. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { clip, root, serve, videoNames } from './support.ts'

const json = async (url: string, init?: RequestInit) => {
  const response = await fetch(url, init)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

it('search-page ranks the videos of a folder and serves them', async () => {
  const { address, child, exit } = await serve('search-page/main.mjs')
  expect(await (await fetch(address)).text()).toContain('<form>')
  const answer = await fetch(`${address}/search?text=a+red+circle+moving+left`)
  const found = (await answer.json()) as { file: string; score: number; url: string }[]
  expect(found).toHaveLength(videoNames.length)
  expect(found[0]?.file).toBe('red-circle.mp4')
  const video = await fetch(new URL(found[0]?.url ?? '', address))
  expect(video.headers.get('content-type')).toBe('video/mp4')
  expect(Buffer.from(await video.arrayBuffer())).toEqual(readFileSync(clip('red-circle.mp4')))
  expect((await json(`${address}/search`)).status).toBe(400)
  expect((await json(`${address}/search?text=%20`)).body).toMatchObject({ code: 'invalid_request' })
  for (const name of ['999', '-1', 'length', '..%2f..%2fpackage.json']) {
    expect((await fetch(`${address}/videos/${name}`)).status, name).toBe(404)
  }
  child.kill('SIGTERM')
  expect(await exit).toBe(0)
})

describe('next-upload', () => {
  const file = path.join(root, 'examples/next-upload/app/api/embed/route.js')
  const post = async (fields: Record<string, string | Blob>, signal?: AbortSignal) => {
    vi.stubEnv('MODEL', path.join(root, 'models/demo'))
    const { POST } = (await import(file)) as { POST(request: Request): Promise<Response> }
    const body = new FormData()
    for (const [name, value] of Object.entries(fields)) body.set(name, value)
    const response = await POST(
      new Request('http://localhost/api/embed', { method: 'POST', body, ...(signal && { signal }) }),
    )
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  const video = new File([readFileSync(clip('red-circle.mp4'))], 'a.mp4')

  it('answers with the vector and ranked labels', async () => {
    const { status, body } = await post({ video, labels: 'a blue square\na red circle\n\n' })
    expect(status).toBe(200)
    expect(body.embedding).toHaveLength(256)
    expect(body.labels).toMatchObject([{ label: 'a red circle' }, { label: 'a blue square' }])
  })

  it('answers what is no video, or no upload, with the right status', async () => {
    expect(await post({ video: new File(['x'], 'a.mp4') })).toMatchObject({
      status: 422,
      body: { code: 'media' },
    })
    expect(await post({ video: 'a string' })).toMatchObject({ status: 400 })
    const gone = AbortSignal.abort(new Error('gone'))
    await expect(post({ video }, gone)).rejects.toThrow('gone')
  })
})
