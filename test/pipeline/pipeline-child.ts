/**
 * A child for the supervisor: node pipeline-child.ts PORT|SOCKET [ok|degraded|starting]. Serves `/health` as a process of
 * ours does, or on a socket what a Redis says to PING; a signal SIGUSR2 has it say that it is well.
 */
import { createServer } from 'node:http'
import { createServer as createSocket } from 'node:net'

const [place = '', first = 'ok'] = process.argv.slice(2)
let state = first
process.on('SIGUSR2', () => (state = 'ok'))
if (place.startsWith('/')) {
  const answer = () => (state === 'ok' ? '+PONG\r\n' : '-LOADING Redis is loading the dataset in memory\r\n')
  createSocket(socket => socket.once('data', () => socket.end(answer()))).listen(place)
} else {
  createServer((_, response) => {
    const reasons = state === 'ok' ? {} : { [state === 'starting' ? 'start' : 'upstream']: 'not yet' }
    response.statusCode = state === 'ok' ? 200 : 503
    response.end(JSON.stringify({ reasons, pid: process.pid }))
  }).listen(Number(place), '127.0.0.1')
}
