// A double of the embedder with only the methods that an index needs. Its vectors identify their input.

const DIM = 4

/** @param {{ fail?: (name: string) => unknown, fingerprint?: string }} [options] */
export function doubleEmbedder({ fail = () => undefined, fingerprint = 'f1' } = {}) {
  const answer = async (kind, name) => {
    await new Promise((resolve) => setImmediate(resolve))
    const failure = fail(name)
    if (failure) throw failure
    return { kind, embedding: vectorOf(name), warnings: [], media: { bytesRead: 10 } }
  }
  const embedder = {
    calls: 0,
    info: () => ({
      model: { id: 'double', fingerprint, embeddingDim: DIM, frameRule: 'card' },
      limits: { decodeConcurrency: 2 },
    }),
    embedText: (text) => {
      embedder.calls++
      return answer('text', text)
    },
    embedVideo: (video) => {
      embedder.calls++
      return answer('video', `${video}`)
    },
    // As many windows as the last digit of the name.
    async *segments(video, { windowSeconds, strideSeconds }) {
      embedder.calls++
      const count = Number(/(\d)\.\w+$/.exec(`${video}`)?.[1] ?? 1)
      for (let window = 0; window < count; window++) {
        const start = window * strideSeconds
        const result = await answer('video', `${video}@${window}`)
        yield { ...result, start, end: start + windowSeconds }
      }
    },
  }
  return embedder
}

/** @param {string} name */
export function vectorOf(name) {
  let hash = 7
  for (const letter of name) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) | 0
  return Float32Array.from({ length: DIM }, (_, place) => Math.sin(hash + place))
}
