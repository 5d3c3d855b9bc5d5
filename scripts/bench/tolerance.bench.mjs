// npm run bench tolerance: measures the effect of frameTolerance on vectors and retrieval, on rendered clips with captions.

import { parseArgs } from 'node:util'

import { createEmbedder, similarity } from '../../dist/index.js'
import { median, report, round } from './report.mjs'
import { scenes } from './scenes.mjs'

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      count: { type: 'string', default: '256' },
      seed: { type: 'string', default: '7' },
      tolerance: { type: 'string', default: '0,0.1,0.25,0.5' },
    },
  })
  const clips = scenes(values)
  const embedder = await createEmbedder()
  try {
    /** @returns {Promise<any[]>} */
    const embed = async (items) =>
      (await embedder.embedMany(items)).map((result) => {
        if (result.status === 'rejected') throw result.reason
        return result.value
      })
    const texts = await embed(clips.map(({ caption }) => ({ text: caption })))
    let exact
    const rows = []
    for (const frameTolerance of [
      0,
      ...values.tolerance
        .split(',')
        .map(Number)
        .filter((s) => s > 0),
    ]) {
      const videos = await embed(clips.map(({ file }) => ({ video: file, frameTolerance })))
      exact ??= videos
      const cosines = videos.map(({ embedding }, index) => similarity(embedding, exact[index].embedding))
      const found = texts.filter(({ embedding }, row) => {
        const scores = videos.map((video) => similarity(embedding, video.embedding))
        return scores.indexOf(Math.max(...scores)) === row
      })
      rows.push({
        'tolerance s': frameTolerance,
        'median cosine with exact': round(median(cosines), 4),
        'lowest cosine': round(Math.min(...cosines), 4),
        'text→video R@1': round(found.length / texts.length, 3),
        'pictures decoded': videos.reduce((sum, { media }) => sum + media.decoded, 0),
      })
    }
    report('tolerance', rows, { model: embedder.info().model.id })
  } finally {
    await embedder.dispose()
  }
}
