/**
 * Messages made to stop a parser, through a wrapper. The long form (SOAK=1) sends all of them and holds the wrapper to
 * its word: what they cost of the thread that all sessions share, and what memory they take.
 */
import { strict as assert } from 'node:assert'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { defaultLimits } from '../../lib/message/smtp/limits.ts'
import { bombs } from '../support/bombs.ts'
import { keyLine, writeKeyFile } from '../support/link-keys.ts'
import { sized } from '../support/soak.ts'
import { Peer } from './peer.ts'
import { SinkUpstream } from './sink-upstream.ts'
import { startWrapper } from './wrapper-process.ts'

/** For all of a message: to take it, wrap it and send it on. */
const spentMsMax = 120
const { collectBytesMax } = defaultLimits
const memoryMiBMax = 64
/** Bytes of a bomb in the short form. */
const shortBytesMax = 300_000

test('bombs are delivered, and hold up nobody for long', { timeout: 600_000 }, async t => {
  const isLong = sized(0, 1) > 0
  const sink = await SinkUpstream.start(['8BITMIME'])
  const keys = writeKeyFile(join(mkdtempSync(join(tmpdir(), 'bombs-')), 'keys'), keyLine('k1', 'signing'))
  const wrapper = await startWrapper(sink.port, [
    ...['--tracking-url', 'https://track.example.com', '--link-keys', keys, '--redis-url', 'unix:///nonexistent/redis'],
    ...['--track-initial-open', '--track-text', '--honeypot-link', '--max-message-bytes', '60MiB'],
  ])
  t.after(async () => {
    await wrapper.stop()
    await sink.close()
  })
  const residentMiBMax = (): number =>
    Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${wrapper.pid}/status`, 'latin1'))?.[1]) / 1024
  /** CPU time of the thread that all sessions share, in ms: other work on the machine does not make it longer. */
  const spentMs = (): number =>
    Number(readFileSync(`/proc/${wrapper.pid}/task/${wrapper.pid}/schedstat`, 'latin1').split(' ')[0]) / 1e6
  const send = async (message: string): Promise<void> => {
    const client = await Peer.connect(wrapper.port)
    await client.reply()
    for (const command of ['EHLO client.test', 'MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA'])
      assert.match(await client.ask(command), /^[23]/)
    client.say(message)
    assert.match(await client.ask('.', 30_000), /^250 /)
    client.socket.destroy()
  }
  for (let count = 0; count < 20; count++)
    await send('Content-Type: text/html\r\n\r\n<a href="https://e.example/">x</a>\r\n')
  let grownMiB = 0
  for (const [name, [message, reason]] of Object.entries(bombs)) {
    if (!isLong && message.length > shortBytesMax) continue
    sink.accepted.length = 0
    // The peak counts from here on (proc(5)).
    writeFileSync(`/proc/${wrapper.pid}/clear_refs`, '5')
    const heldMiB = residentMiBMax()
    const spent: number[] = []
    for (let count = 0; count < sized(1, 5); count++) {
      const before = spentMs()
      await send(message)
      spent.push(spentMs() - before)
      // Of several in a row the garbage adds up until it is collected.
      if (count === 0) grownMiB = Math.max(grownMiB, residentMiBMax() - heldMiB)
    }
    assert.equal(sink.accepted.length, spent.length)
    const body = message.slice(message.indexOf('\r\n\r\n'))
    if (reason !== undefined) assert.ok(sink.accepted[0]?.data.endsWith(body), `${name} was changed`)
    if (!isLong) continue
    const least = Math.min(...spent)
    t.diagnostic(`${name}: ${least.toFixed(0)} ms`)
    // A larger one is wrapped while it comes in, with turns for others in between.
    if (message.length <= collectBytesMax) assert.ok(least <= spentMsMax, `${name}: ${spent.join(', ')} ms`)
  }
  if (!isLong) return
  t.diagnostic(`memory: ${grownMiB.toFixed(0)} MiB more at the most`)
  assert.ok(grownMiB <= memoryMiBMax, `${grownMiB} MiB`)
})
