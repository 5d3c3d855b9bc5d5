// Arguments: the other addon, the addon of the package, which is loaded first, "global" or "local", videos.
import { constants } from 'node:os'
import { createEmbedder } from 'cosmos-embed'

const [otherFile, ourFile, first, scope, ...videos] = process.argv.slice(2)
const flags = constants.dlopen.RTLD_NOW | (scope === 'global' ? constants.dlopen.RTLD_GLOBAL : 0)
const load = (file) => {
  const module = { exports: {} }
  process.dlopen(module, file, flags)
  return module.exports
}

let ours = first === 'ours' ? load(ourFile) : undefined
const other = load(otherFile)
const before = videos.map((video) => other.countFrames(video))
ours ??= load(ourFile)

const embedder = await createEmbedder()
const vectors = []
const during = []
for (const video of videos) {
  const pending = embedder.embedVideo(video)
  during.push(other.countFrames(video))
  vectors.push([...(await pending).embedding])
}
await embedder.dispose()
const after = videos.map((video) => other.countFrames(video))
console.log(
  JSON.stringify({
    vectors,
    frames: { before, during, after },
    configurations: [other.configuration, ours.diagnostics().ffmpeg.configuration],
  }),
)
