// Media that cost a decoder more than their length suggests, sent so often that every decoder is busy with one.

import { bombs } from './bombs.mjs'
import { post, query } from './client.mjs'
import { limits } from './limits.mjs'

const asVideo = (bytes) => `data:video/mp4;base64,${bytes.toString('base64')}`
const asFrames = (bytes) =>
  `data:video_frames/png;base64,{${Array(8).fill(bytes.toString('base64')).join(',')}}`

export const mediaAttacks = Object.entries(bombs).map(([name, { make, picture = false, short = false }]) => ({
  name: `media: ${name}`,
  short,
  // The server may decode it, refuse it, or time out.
  statuses: [200, 413, 422, 504],
  seconds: 2 * limits.decodeSeconds + 5,
  run: ({ url }) => {
    const bytes = make()
    const body = query(picture ? asFrames(bytes) : asVideo(bytes))
    const clip = { route: '/page/clip', headers: { 'content-type': 'application/octet-stream' } }
    const twice = [post(url, body), post(url, body)]
    return Promise.all(picture ? twice : [...twice, post(url, bytes, clip)])
  },
}))
