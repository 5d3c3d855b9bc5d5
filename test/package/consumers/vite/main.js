// Renders once as in development and once from the bundle.
import { build, createServer } from 'vite'

const server = await createServer({
  server: { middlewareMode: true, hmr: false, ws: false },
  appType: 'custom',
})
const { render } = await server.ssrLoadModule('/render.js')
const developed = await render()
await server.close()

await build({ build: { ssr: 'render.js' } })
const bundle = await import('./dist/render.js')
console.log(JSON.stringify({ vectors: [developed, await bundle.render()] }))
