import { createEmbedder } from 'cosmos-embed'
import { app } from 'electron'

app.whenReady().then(async () => {
  const embedder = await createEmbedder()
  const { embedding } = await embedder.embedText('a red circle')
  await embedder.dispose()
  console.log(JSON.stringify({ vectors: [[...embedding]] }))
  app.quit()
})
