/**
 * A child for the supervisor: node pipeline-child.ts PORT [ok|degraded|starting]. Serves `/health` as a process of ours
 * does; a message SIGUSR2 has it say that it is well.
 */
import { createServer } from 'node:http'

const [port, first = 'ok'] = process.argv.slice(2)
let state = first
process.on('SIGUSR2', () => (state = 'ok'))
createServer((_, response) => {
  const reasons = state === 'ok' ? {} : { [state === 'starting' ? 'start' : 'upstream']: 'not yet' }
  response.statusCode = state === 'ok' ? 200 : 503
  response.end(JSON.stringify({ reasons, pid: process.pid }))
}).listen(Number(port), '127.0.0.1')
