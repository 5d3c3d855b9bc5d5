// How many files to compile at a time: as many as there are cores, but a compiler takes up to 1 GB.

import os from 'node:os'
import process from 'node:process'

export const jobs = Number(
  process.env.COSMOS_JOBS ??
    Math.max(1, Math.min(os.availableParallelism(), Math.floor(os.totalmem() / 2 ** 30))),
)
