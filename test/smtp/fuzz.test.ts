/** Clients and upstreams that do anything at any time: nothing is promised that was not promised to us. */
import { strict as assert } from 'node:assert'
import { after, before, describe, test } from 'node:test'
import * as fc from 'fast-check'
import { until } from '../support/process.ts'
import { Peer } from './peer.ts'
import { numberCopies, startRig, type Rig } from './rig.ts'
import { SinkUpstream } from './sink-upstream.ts'

/** What a client does next: a text to say, in pieces, and whether it then waits for an answer. */
interface Move {
  readonly text: string
  readonly pieces: number
  readonly waits: boolean
}

const text = fc.oneof(
  { weight: 3, arbitrary: fc.constant('EHLO client.test\r\n') },
  {
    weight: 5,
    arbitrary: fc.constantFrom('MAIL FROM:<a@b.test>\r\n', 'MAIL FROM:<a@b.test> SIZE=10 BODY=8BITMIME\r\n'),
  },
  { weight: 6, arbitrary: fc.constantFrom('RCPT TO:<one@d.test>\r\n', 'RCPT TO:<two@d.test>\r\n') },
  { weight: 5, arbitrary: fc.constant('DATA\r\n') },
  {
    weight: 5,
    arbitrary: fc.constantFrom('Subject: x\r\n\r\nbody\r\n.\r\n', '.\r\n', '\r\n.\r\n', 'a\nb\r..\r\n.\r\n'),
  },
  { weight: 2, arbitrary: fc.constantFrom('RSET\r\n', 'NOOP\r\n', 'HELO x\r\n', 'QUIT\r\n') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'STARTTLS\r\n',
      'AUTH PLAIN\r\n',
      '*\r\n',
      'WRONG\r\n',
      'MAIL FROM:<\r\n',
      'RCPT TO:<a@b>\0\r\n',
      'x'.repeat(3000),
      'BDAT 10 LAST\r\n',
      '\r\n',
    ),
  },
)
const move: fc.Arbitrary<Move> = fc.record(
  { text, pieces: fc.integer({ min: 1, max: 3 }), waits: fc.constantFrom(true, true, true, false) },
  { noNullPrototype: true },
)
/** A mail as it should be, or something else. */
const moves: fc.Arbitrary<Move[]> = fc.oneof(
  { weight: 2, arbitrary: move.map(single => [single]) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.boolean(), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 6 }), move)
      .map(([waits, pieces, odd, other]) => {
        const say = (text: string) => ({ text, pieces, waits: waits || text.startsWith('DATA') })
        const mail = ['MAIL FROM:<a@b.test>', 'RCPT TO:<one@d.test>', 'RCPT TO:<two@d.test>'].map(line =>
          say(`${line}\r\n`),
        )
        const all = [
          ...mail,
          { ...say('DATA\r\n'), waits: true },
          { ...say('Subject: x\r\n\r\nbody\r\n.\r\n'), waits: true },
        ]
        return all.with(Math.min(odd, 4), odd > 4 ? all[4]! : other)
      }),
  },
)
/** What the upstream makes of a command: undefined is the usual. */
const oddities = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: fc.constant(undefined) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'drop',
        '421 4.3.2 closing',
        '451 4.3.0 no',
        '550-5.1.1 no\r\n550 5.1.1 never',
        '354 what',
      ),
    },
  ),
  { minLength: 1, maxLength: 12 },
)

describe('a relay', () => {
  let sink: SinkUpstream
  let rig: Rig
  before(async () => {
    sink = await SinkUpstream.start(['PIPELINING', '8BITMIME', 'SIZE', 'AUTH PLAIN'])
    rig = await startRig({
      upstreamPort: sink.port,
      rewriting: numberCopies,
      limits: { errorsMax: 1000, authFailureDelayMs: 1, authFailuresPerAddressMax: 1e9, collectBytesMax: 20 },
    })
  })
  after(async () => {
    await sink.close()
    await rig.close()
  })

  test('passes on promises and makes none of its own', async () => {
    let taken = 0
    /** Every positive reply that the upstream has given, each with a number of its own. */
    const promises = new Set<string>()
    await fc.assert(
      fc.asyncProperty(
        fc.array(moves, { maxLength: 6 }),
        oddities,
        fc.boolean(),
        fc.boolean(),
        async (plan, odd, breaks, isPolite) => {
          const moves = plan.flat()
          let at = 0
          let number = promises.size
          sink.misbehave = command => {
            if (command === 'connect' || /^(?:EHLO|QUIT|AUTH|\*)/.test(command)) return undefined
            const oddity = odd[at++ % odd.length]
            if (oddity !== undefined) return oddity
            const inOrder = !/^(?:DATA|\S*$)/.test(command) || command === '.' || command === 'RSET'
            if (!inOrder) return undefined
            const promise = `250 2.0.0 promise ${++number}`
            promises.add(promise)
            return promise
          }
          const client = await Peer.connect(rig.port)
          const heard: string[] = []
          const listen = async (ms: number) => {
            await until('an answer', () => client.unread.endsWith('\n') || client.over, ms).catch(() => undefined)
            heard.push(...client.take().split('\r\n'))
          }
          await listen(5_000)
          if (isPolite) {
            client.say('EHLO client.test\r\n')
            await listen(5_000)
          }
          for (const { text, pieces, waits } of moves) {
            const bytes = Math.ceil(text.length / pieces)
            for (let from = 0; from < text.length; from += bytes) client.say(text.slice(from, from + bytes))
            // In a message nothing is answered; then the next comes all the same.
            if (waits && text.endsWith('\n')) await listen(40)
          }
          if (breaks) client.socket.resetAndDestroy()
          else client.socket.end()
          await until('the session to end', () => rig.server.sessions === 0)
          heard.push(...client.take().split('\r\n'))
          const own =
            /^2(?:20 relay\.test ESMTP |50[- ](?:relay\.test|PIPELINING|8BITMIME|SIZE \d+|AUTH PLAIN)$|50 2\.0\.0 Ok$|21 2\.0\.0 Bye$|20 |35 )/
          for (const line of heard) {
            if (/^2\d\d/.test(line)) assert.ok(own.test(line) || promises.has(line), `nobody promised ${line}`)
          }
          assert.deepEqual(rig.faults, [])
          // No promise without the mail: what the upstream took is whole.
          taken += sink.accepted.length
          for (const { mail, rcpts, data } of sink.accepted.splice(0)) {
            assert.match(mail, /^MAIL FROM:<a@b\.test>/)
            assert.ok(rcpts.length > 0)
            assert.doesNotMatch(data, /\r(?!\n)|(?<!\r)\n/)
          }
        },
      ),
      { numRuns: 100 },
    )
    assert.ok(taken > 10, `only ${taken} mails were taken: nothing was tried`)
    // After all this it works as before.
    sink.misbehave = () => undefined
    const client = await Peer.connect(rig.port)
    await client.reply()
    for (const command of ['EHLO x', 'MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA']) await client.ask(command)
    assert.match(await client.ask('x\r\n.'), /^250 2\.0\.0 Ok: queued/)
    client.socket.destroy()
    assert.equal(rig.server.context.collected.bytes, 0)
  })
})
