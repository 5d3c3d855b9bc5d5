// Importing works on any machine; the first call explains what is wrong.
import { createEmbedder } from 'cosmos-embed'

try {
  await createEmbedder()
} catch (error) {
  console.log(JSON.stringify({ code: error.code, message: error.message }))
}
