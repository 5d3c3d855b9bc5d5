/** `cosmos-embed/bullmq`: an index that many machines build together, through a queue of BullMQ in Redis or Valkey. */
export type { QueueAddress } from './connection.ts'
export { type DeadLetter, type IndexQueue, openQueue, type QueueStatus } from './manage.ts'
export { type EnqueueOptions, type EnqueueTally, enqueueIndex } from './produce.ts'
export { type IndexWorker, startWorker, type WorkerOptions } from './worker.ts'
