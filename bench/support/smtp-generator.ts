/**
 * Sends one message many times, a new connection for each, and prints a line of JSON: {messages, seconds, p50Ms, p99Ms}.
 *
 *     smtp-generator.ts PORT SESSIONS MESSAGES FILE
 *
 * Without pipelining, each command waits for the reply to the one before, as most generators do.
 */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'

const [port = 0, sessions = 1, messages = 1] = process.argv.slice(2, 5).map(Number)
const text = readFileSync(process.argv[5] ?? '', 'latin1')
  .replaceAll(/\r?\n/g, '\r\n')
  .replaceAll(/^\./gm, '..')
const message = Buffer.from(`${text}${text.endsWith('\r\n') ? '' : '\r\n'}.\r\n`, 'latin1')

const latencies: number[] = []
let begun = 0

/** One message; settles when its connection is closed. */
async function send(number: number): Promise<void> {
  const steps: (string | Buffer)[] = [
    'EHLO generator.example\r\n',
    'MAIL FROM:<bounce@news.example.com>\r\n',
    `RCPT TO:<reader-${number}@rcpt.example.net>\r\n`,
    'DATA\r\n',
    message,
    'QUIT\r\n',
  ]
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let at = 0
    let heard = ''
    let mailAt = 0
    socket.on('data', chunk => {
      heard += chunk.toString('latin1')
      // A reply is complete with a line that has a space behind its code.
      if (!/^\d\d\d [^\n]*\n$/m.test(heard.slice(heard.lastIndexOf('\n', heard.length - 2) + 1))) return
      if (!/^[23]/.test(heard)) reject(new Error(heard))
      heard = ''
      if (at === 1) mailAt = performance.now()
      if (at === 5) latencies.push(performance.now() - mailAt)
      const step = steps[at++]
      if (step === undefined) socket.end()
      else socket.write(step)
    })
    socket.on('close', () => (latencies.length > 0 ? resolve() : reject(new Error('closed'))))
    socket.on('error', reject)
  })
}

async function session(): Promise<void> {
  while (begun < messages) await send(++begun)
}

const start = performance.now()
await Promise.all(Array.from({ length: sessions }, session))
const seconds = (performance.now() - start) / 1000
latencies.sort((a, b) => a - b)
const quantile = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0
process.stdout.write(
  `${JSON.stringify({ messages: latencies.length, seconds, p50Ms: quantile(0.5), p99Ms: quantile(0.99) })}\n`,
)
