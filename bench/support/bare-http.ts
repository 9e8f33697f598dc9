/** What node:http can do at most: the bytes of the tracker's answers, and nothing else. Operands: port, pixel or click, URL. */
import { createServer } from 'node:http'
import { pixel, redirect } from '../../lib/event/engagement/answer.ts'
import { serverLimits } from '../../lib/event/engagement/tracker-server.ts'

const [port, kind, url] = process.argv.slice(2)
const answer = kind === 'pixel' ? pixel : redirect(url ?? '')
const headers = [...answer.headers]
createServer(serverLimits, (_, response) => {
  response.writeHead(answer.status, headers)
  response.end(answer.body)
}).listen({ host: '127.0.0.1', port: Number(port), backlog: 1024 }, () => console.log('listening'))
