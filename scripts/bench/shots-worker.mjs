// Finds the shots of videos, and makes the clip of each, in a process of its own.
//   node shots-worker.mjs '{"files", "threads", "shots"}'

import process from 'node:process'

import binding from '../../lib/binding.js'

const { files, threads, shots } = JSON.parse(process.argv[2])
for (const file of files) {
  const began = performance.now()
  const cpuBefore = process.cpuUsage()
  const options = { frames: 8, height: 224, width: 224, threads }
  const reader = await binding.openSegments({ path: file }, options, { shots }).promise
  const cuts = []
  let decoded = 0
  for (let next = await reader.next().promise; next; next = await reader.next().promise) {
    if (next.start > 0) cuts.push(next.start)
    decoded += next.report.decoded
    next.clip.release()
  }
  reader.close()
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpuBefore)
  console.log(JSON.stringify({ cuts, decoded, seconds, cpuSeconds: (user + system) / 1e6 }))
}
