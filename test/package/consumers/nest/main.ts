import 'reflect-metadata'
import { Controller, Get, Inject, Module, type OnApplicationShutdown, Query } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import { createEmbedder, type Embedder } from 'cosmos-embed'
import { cosmosEmbed } from 'cosmos-embed/http'

const EMBEDDER = Symbol('embedder')

@Controller()
class Texts {
  constructor(@Inject(EMBEDDER) private readonly embedder: Embedder) {}

  @Get('text')
  async embed(@Query('text') text: string): Promise<number[]> {
    const { embedding } = await this.embedder.embedText(text)
    return [...embedding]
  }
}

@Module({
  controllers: [Texts],
  providers: [{ provide: EMBEDDER, useFactory: () => createEmbedder() }],
})
class Application implements OnApplicationShutdown {
  constructor(@Inject(EMBEDDER) private readonly embedder: Embedder) {}

  onApplicationShutdown(): Promise<void> {
    return this.embedder.dispose()
  }
}

const app = await NestFactory.create<NestFastifyApplication>(Application, new FastifyAdapter(), {
  logger: false,
})
await app.register(cosmosEmbed as never, { embedder: app.get<Embedder>(EMBEDDER), prefix: '/nim' } as never)
await app.listen(0, '127.0.0.1')

const url = await app.getUrl()
const own = (await (await fetch(`${url}/text?text=a%20red%20circle`)).json()) as number[]
const request = { request_type: 'query', input: 'a red circle', model: 'cosmos-embed-demo' }
const answer = await fetch(`${url}/nim/v1/embeddings`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(request),
})
if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
const { data } = (await answer.json()) as { data: { embedding: number[] }[] }
await app.close()
console.log(JSON.stringify({ vectors: [own, data[0]?.embedding] }))
