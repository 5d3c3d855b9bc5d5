// Asks the server for its state, or a worker for its metrics: HEALTH_URL says where.
import process from 'node:process'

const url = process.env.HEALTH_URL ?? 'http://127.0.0.1:8000/v1/health/ready'
const { ok } = await fetch(url, { signal: AbortSignal.timeout(4000) }).catch(() => ({ ok: false }))
process.exit(ok ? 0 : 1)
