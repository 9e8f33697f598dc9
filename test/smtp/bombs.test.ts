/**
 * Messages made to stop a parser, through a wrapper. The long form (SOAK=1) sends all of them and holds the wrapper to
 * its word: how long its loop stands still at most, and what memory it takes.
 */
import { strict as assert } from 'node:assert'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { bombs } from '../support/bombs.ts'
import { keyLine, writeKeyFile } from '../support/link-keys.ts'
import { freePort } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { Peer } from './peer.ts'
import { SinkUpstream } from './sink-upstream.ts'
import { startWrapper } from './wrapper-process.ts'

const blockMsMax = 100
const memoryMiBMax = 64
/** Bytes of a bomb in the short form. */
const shortBytesMax = 300_000

test('bombs are delivered, and hold up nobody for long', { timeout: 600_000 }, async t => {
  const isLong = sized(0, 1) > 0
  const sink = await SinkUpstream.start(['8BITMIME'])
  const keys = writeKeyFile(join(mkdtempSync(join(tmpdir(), 'bombs-')), 'keys'), keyLine('k1', 'signing'))
  const metricsPort = await freePort()
  const wrapper = await startWrapper(sink.port, [
    ...['--tracking-url', 'https://track.example.com', '--link-keys', keys, '--redis-url', 'unix:///nonexistent/redis'],
    ...['--track-initial-open', '--track-text', '--honeypot-link', '--max-message-bytes', '60MiB'],
    ...['--metrics-hostport', `127.0.0.1:${metricsPort}`],
  ])
  t.after(async () => {
    await wrapper.stop()
    await sink.close()
  })
  const residentMiBMax = (): number =>
    Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${wrapper.pid}/status`, 'latin1'))?.[1]) / 1024
  /** The longest time that the wrapper's loop stood still since this was asked last. */
  const blockMs = async (): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
    return Number(/^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(text)?.[1]) * 1000
  }
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
  const before = residentMiBMax()
  for (const [name, [message, reason]] of Object.entries(bombs)) {
    if (!isLong && message.length > shortBytesMax) continue
    sink.accepted.length = 0
    // Other work on the machine makes it longer, so the best of a few counts.
    const blocks: number[] = []
    while (blocks.length < sized(1, 20) && !(Math.min(...blocks) <= blockMsMax)) {
      await blockMs()
      await send(message)
      blocks.push(await blockMs())
    }
    assert.equal(sink.accepted.length, blocks.length)
    const body = message.slice(message.indexOf('\r\n\r\n'))
    if (reason !== undefined) assert.ok(sink.accepted[0]?.data.endsWith(body), `${name} was changed`)
    if (!isLong) continue
    const shortest = Math.min(...blocks)
    t.diagnostic(`${name}: ${shortest.toFixed(0)} ms`)
    assert.ok(shortest <= blockMsMax, `${name}: ${blocks.join(', ')} ms`)
  }
  if (!isLong) return
  const grown = residentMiBMax() - before
  t.diagnostic(`memory: ${before.toFixed(0)} MiB, and ${grown.toFixed(0)} MiB more at the most`)
  assert.ok(grown <= memoryMiBMax, `${grown} MiB`)
})
