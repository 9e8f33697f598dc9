/** Whatever bytes a log holds, and in whatever pieces they arrive: the same lines, the same outcomes, and no failure. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { correlatorDefaults } from './correlator-options.ts'
import type { DeliveryLog, DeliveryLogHooks } from './delivery-log.ts'
import { dryRunLine, readWholeSource } from './dry-run.ts'
import type { Outcome } from './outcome.ts'
import { PostfixLog } from './postfix-log.ts'
import { PowerMtaLog } from './powermta-log.ts'
import { StreamSource } from './stream-source.ts'
import { TimeZone } from './time-zone.ts'

const uuid = '11111111-1111-4111-8111-111111111111'
const stamps = [
  'Nov 21 16:24:03 mx postfix/smtp[7]: ',
  '2026-11-21T16:24:03.867203+00:00 mx postfix/smtp[7]: ',
  '<22>1 2026-11-21T16:24:03Z mx postfix 7 - - ',
  '2026-11-21T16:24:03Z stdout F Nov 21 16:24:03 mx postfix/smtp[7]: ',
  '{"MESSAGE":"A0000000001: removed","_HOSTNAME":"mx","__REALTIME_TIMESTAMP":"1"}\n',
]
const texts = [
  'A0000000001: client=localhost[127.0.0.1]',
  `A0000000001: message-id=<${uuid}@x>`,
  'A0000000001: from=<s@x>, size=1, nrcpt=1 (queue active)',
  'A0000000001: to=<почта@x>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)',
  'A0000000001: to=<r@x>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=4.2.0, status=deferred (host mx[192.0.2.1] said: 450 no)',
  'A0000000001: from=<s@x>, status=expired, returned to sender',
  'A0000000001: removed',
]
const records = [
  'type,timeLogged,rcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,header_x-sendpost-message-uuid\n',
  `d,2026-02-09 13:00:05+0100,r@x,relayed,2.0.0 (success),"smtp;250 OK, thanks",mx,success,${uuid}\n`,
]
const piece = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.constantFrom(...stamps), fc.constantFrom(...texts))
      .map(([a, b]) => Buffer.from(`${a}${b}\n`) as Uint8Array),
  },
  { weight: 2, arbitrary: fc.constantFrom(...records).map(text => Buffer.from(text) as Uint8Array) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 60 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('\0\0\0', '\r\n', '\n', 'x'.repeat(70_000)).map(text => Buffer.from(text) as Uint8Array),
  },
)

async function read(make: (hooks: DeliveryLogHooks) => DeliveryLog, chunks: readonly Uint8Array[]) {
  const outcomes: Outcome[] = []
  const verdicts = new Map<string, number>()
  const log = make({ report: outcome => outcomes.push(outcome), suppressed: () => undefined })
  const events = { trouble: () => undefined, gap: () => undefined, skippedBytes: () => undefined }
  const now = () => Date.parse('2026-11-22T00:00:00Z')
  const stream = Readable.from(
    chunks.map(chunk => Buffer.from(chunk)),
    { objectMode: false },
  )
  await readWholeSource(new StreamSource('-', stream, events, now), log, verdicts, async () => undefined)
  log.end()
  return {
    outcomes: outcomes.map(dryRunLine),
    verdicts: Object.fromEntries(verdicts),
    counts: log.counts(),
  }
}

const logs = {
  PostfixLog: (hooks: DeliveryLogHooks) => new PostfixLog(correlatorDefaults, new TimeZone('UTC'), hooks),
  PowerMtaLog: (hooks: DeliveryLogHooks) => new PowerMtaLog(hooks),
}
for (const [name, make] of Object.entries(logs)) {
  test(`${name} makes the same of any bytes in any pieces`, async () => {
    const cuts = fc.array(fc.nat(4000), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), cuts, async (pieces, places) => {
        const whole = Buffer.concat(pieces)
        const ends = [...new Set([...places.map(place => Math.min(place, whole.length)), whole.length])].toSorted(
          (a, b) => a - b,
        )
        const chunks = ends
          .map((end, index) => whole.subarray(ends[index - 1] ?? 0, end))
          .filter(chunk => chunk.length > 0)
        assert.deepEqual(await read(make, chunks), await read(make, whole.length > 0 ? [whole] : []))
      }),
      { numRuns: 60 },
    )
  })
}
