test('CommonJS imports', async () => {
  const { createEmbedder } = await import('cosmos-embed')
  const embedder = await createEmbedder()
  const { embedding } = await embedder.embedText('a red circle')
  expect(embedding).toBeInstanceOf(Float32Array)
  await embedder.dispose()
})
