// argv: engine options. Loads the engine, encodes a text, and ends by itself.
import binding from '#binding'

const engine = await binding.createEngine(JSON.parse(process.argv[2])).promise
const vectors = await engine.encodeText([Int32Array.of(1, 5, 9, 2)]).promise
engine.close()
console.log(vectors.length)
