// The layers of the code, bottom first, written once: scripts/lint/imports.mjs checks them, `npm run lint` runs that.
//
// A file may load what stands on a lower line, and its own folder. Folders on one line are peers: neither loads the
// other. A name is a folder, without the folders inside it that have a line of their own, or one file. The type-only
// imports of TypeScript are erased, so they are free.

/** Folders and files of src/. */
export const typescript = [
  ['errors.ts', 'types.ts', 'event-types.ts', 'info-types.ts', 'result-types.ts'],
  ['base'],
  ['model', 'schedule'],
  ['source', 'tokenizer'],
  ['request'],
  ['call', 'options.ts'],
  ['tensorrt'],
  ['device'],
  ['run', 'info.ts'],
  ['embedder.ts'],
  ['embed.ts', 'opentelemetry', 'verify'],
  ['index.ts', 'client', 'adapters', 'bulk', 'http'],
  ['queue'],
  ['cli'],
]

/** These also run in browsers and at the edge: nothing that they load may load Node.js or the addon. */
export const portable = { folders: ['client', 'adapters'], without: /^(node:|#binding$)/ }

/** Folders and files of native/. */
export const cpp = [
  ['base', 'memory'],
  ['ffmpeg', 'media/plan'],
  ['image', 'media/bitstream', 'search'],
  ['cuda', 'engine', 'media/clip_types.h'],
  ['media/limits', 'onnxruntime', 'tensorrt'],
  ['media/demux', 'media/still'],
  ['media/decode'],
  ['media/scan', 'media/nvdec'],
  ['media/shots'],
  ['media'],
  ['isolation'],
  ['napi', 'fuzz'],
  ['addon.cc'],
]

/** Headers of other projects, and the one place that includes them. */
export const headers = [
  { header: /^lib(av|sw)\w+\//, within: ['ffmpeg'] },
  { header: /^ffnvcodec\/dynlink_cuda\.h$/, within: ['cuda/abi.h'] },
  { header: /^ffnvcodec\/dynlink_nvcuvid\.h$/, within: ['media/nvdec/nvcuvid.h'] },
  { header: /^(napi|node_api|node|v8|uv)\b.*\.h$/, within: ['napi/node.h'] },
]
