// An Express server that takes uploads at once, a queue of BullMQ in Redis, and a worker that embeds them:
//
//   node examples/express-queue/main.mjs
//   curl --data-binary @clip.mp4 -H 'content-type: video/mp4' localhost:3000/videos    → {"id":"…"}
//   curl 'localhost:3000/jobs/…?wait=30'                                               → {"state":"done","embedding":[…]}
//
// Here both run in one process. In production each is a process of its own: a worker that falls takes no request with it.

import './worker.mjs'
import './server.mjs'
