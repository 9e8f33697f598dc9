/**
 * Clients that say nothing and clients that say a byte a second hold nobody up. The long form (SOAK=1) has 2,000 and 100
 * of them, and waits until the slow ones are sent away.
 */
import { strict as assert } from 'node:assert'
import { after, before, test } from 'node:test'
import { until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { Peer } from './peer.ts'
import { SinkUpstream } from './sink-upstream.ts'
import { startWrapper, untracked, type WrapperProcess } from './wrapper-process.ts'

const idle = sized(200, 2000)
const tricklers = sized(20, 100)
const messages = sized(50, 500)
/** A command, or a message after its first 30 seconds, may take this long. */
const tricklerMsMax = 62_000

let sink: SinkUpstream
let wrapper: WrapperProcess
before(async () => {
  sink = await SinkUpstream.start()
  wrapper = await startWrapper(sink.port, [...untracked, '--max-connections', '4000'])
})
after(async () => {
  await wrapper.stop()
  await sink.close()
})

/** Sends one after another, each in a connection of its own; gives the 99th percentile of their times, in ms. */
async function sendAll(count: number): Promise<number> {
  const times: number[] = []
  for (let number = 0; number < count; number++) {
    const begun = performance.now()
    const client = await Peer.connect(wrapper.port)
    await client.reply()
    for (const command of ['EHLO good.test', 'MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA'])
      assert.match(await client.ask(command), /^[23]/)
    assert.match(await client.ask('Subject: x\r\n\r\nbody\r\n.'), /^250 /)
    assert.match(await client.ask('QUIT'), /^221 /)
    client.socket.destroy()
    times.push(performance.now() - begun)
  }
  return times.toSorted((a, b) => a - b)[Math.floor(count * 0.99)] ?? 0
}

test('idle and slow clients hold nobody up, and the slow ones are sent away', async t => {
  await sendAll(messages)
  const alone = await sendAll(messages)
  const slow: Peer[] = []
  for (let number = 0; number < idle; number++) slow.push(await Peer.connect(wrapper.port))
  const trickling: Peer[] = []
  for (let number = 0; number < tricklers; number++) {
    const client = await Peer.connect(wrapper.port)
    trickling.push(client)
    await client.reply()
    if (number % 2 === 0) continue
    // Half of them trickle within a message, the others within a command.
    for (const command of ['EHLO slow.test', 'MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA'])
      await client.ask(command)
  }
  const begun = performance.now()
  const trickle = setInterval(() => {
    for (const client of trickling) client.say('x')
  }, 1000)
  t.after(() => {
    clearInterval(trickle)
    for (const client of [...slow, ...trickling]) client.socket.destroy()
  })
  const among = await sendAll(messages)
  const report = `99th percentile ${alone.toFixed(1)} ms alone, ${among.toFixed(1)} ms among ${idle} idle and ${tricklers} slow ones`
  t.diagnostic(report)
  assert.equal(sink.accepted.length, 3 * messages)
  assert.ok(trickling.every(({ socket }) => !socket.destroyed))
  if (sized(0, 1) === 0) return
  assert.ok(among <= 2 * alone, report)
  await until(
    'all slow ones to be sent away',
    () => trickling.every(client => client.socket.readableEnded || client.over),
    tricklerMsMax,
    250,
  )
  t.diagnostic(`the slow ones were sent away within ${((performance.now() - begun) / 1000).toFixed(0)} s`)
  assert.equal(sink.accepted.length, 3 * messages)
})
