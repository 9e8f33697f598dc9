/** What acct_etl holds while Redis is away: what waits is on disk, not in memory. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { until } from '../support/process.ts'
import { processUsage } from '../support/process-usage.ts'
import { sized } from '../support/soak.ts'
import { type Rig, setUp } from './rig.ts'

let rig: Rig
before(async () => {
  rig = await setUp()
})
after(() => rig.stop())

const header =
  'type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,' +
  'dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool,header_x-sp-message-id'

function line(n: number): string {
  return (
    `d,2026-02-19 12:00:14+0000,2026-02-19 12:00:02+0000,news@example.com,reader-${n}@rcpt.example.net,,relayed,` +
    `2.0.0 (success),"smtp;250 2.0.0 OK, queued as ${n}",mx1.example.net (192.0.2.23),success,smtp,` +
    `gen.example.com (192.0.2.163),smtp,192.0.2.30,192.0.2.23,"PIPELINING,8BITMIME,SIZE,STARTTLS",30704,vmta-a,spring,,` +
    `example.net/vmta-a,pool-1,0000${n.toString(16).padStart(16, '0')}\n`
  )
}

/** What is promised; some 50 MB of it are Node's own program, which all processes of this Node share. */
const peakMbMax = 100

test('with Redis away memory stays small, however much waits on disk', async () => {
  await rig.redis.kill('SIGKILL')
  const total = sized(80_000, 2_000_000)
  const etl = await rig.start(['--spill-max-bytes=2GB'])
  const { stdin } = etl.child
  assert.ok(stdin)
  stdin.write(`${header}\n`)
  let most = 0
  for (let n = 0; n < total; n += 500) {
    const text = Array.from({ length: 500 }, (_, i) => line(n + i)).join('')
    if (!stdin.write(text)) await once(stdin, 'drain')
    most = Math.max(most, processUsage(etl.pid)?.peakMb ?? 0)
  }
  await until('records on disk', () => etl.output.stdout.includes('keeping them'))
  stdin.end()
  assert.equal((await etl.exited).code, 0, etl.output.stdout)
  assert.match(etl.output.stdout, new RegExp(`"spilled":${total},`))
  assert.ok(most > 0 && most <= peakMbMax, `${most.toFixed(0)} MB`)
})
