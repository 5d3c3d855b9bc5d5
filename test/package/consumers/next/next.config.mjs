import { fileURLToPath } from 'node:url'

export default {
  output: 'standalone',
  serverExternalPackages: ['cosmos-embed'],
  // What is opened by name and not imported: the addon's libraries, the model.
  outputFileTracingIncludes: {
    '/api/embed': ['./node_modules/cosmos-embed/**/*'],
  },
  turbopack: { root: fileURLToPath(new URL('.', import.meta.url)) },
}
