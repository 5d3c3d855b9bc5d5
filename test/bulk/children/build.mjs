// Builds an index of windows with a double of the embedder, until it is killed.
import { buildIndex } from '../../../dist/bulk/build.js'
import { destinationFor } from '../../../dist/bulk/destination.js'
import { openSources } from '../../../dist/bulk/sources.js'
import { doubleEmbedder } from '../double.mjs'

const [manifest, out] = process.argv.slice(2)
const { sources } = await openSources([manifest])
const { sink } = destinationFor(out, { partRows: 100 })
const tally = await buildIndex(doubleEmbedder(), sources, sink, {
  concurrency: 16,
  windows: { seconds: 1 },
  onStart: () => console.log('started'),
})
console.log(JSON.stringify(tally))
