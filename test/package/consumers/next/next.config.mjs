import { fileURLToPath } from 'node:url'
import example from './example.config.mjs' // the test copies examples/next-upload here

export default {
  ...example,
  output: 'standalone',
  turbopack: { root: fileURLToPath(new URL('.', import.meta.url)) },
}
