// Builds an index of the windows of videos that are none, with an embedder that is a double, and waits to be killed.
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
