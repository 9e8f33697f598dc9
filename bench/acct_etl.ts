/**
 * npm run bench acct_etl: accounting records a second from standard input to Redis. acct_etl alone on CPU 0; Redis and
 * the writer on CPU 1. Aim: ≥ 40,000 records/s (of a core of its own), memory flat.
 *
 * Short records as a tracking set-up writes them, and PowerMTA's 23 columns with quoted fields. BENCH_RECORDS (300000).
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startProcess } from '../test/support/process.ts'
import { processUsage, type ProcessUsage } from '../test/support/process-usage.ts'
import { startRedis } from '../test/support/redis.ts'

const total = Number(process.env['BENCH_RECORDS'] ?? 300_000)

const shapes: Record<string, { header: string; line: (n: number, id: string) => string }> = {
  'four columns': {
    header: 'type,rcpt,header_x-sp-message-id,header_x-sp-subaccount-id',
    line: (n, id) => `d,reader-${n}@rcpt.example.net,${id},${n % 10}`,
  },
  'twenty-five columns, quoted': {
    header:
      'type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,' +
      'dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool,' +
      'header_X-Sp-Message-Id,header_x-sp-subaccount-id',
    line: (n, id) =>
      `d,2026-02-19 12:00:14+0000,2026-02-19 12:00:02+0000,news@example.com,reader-${n}@rcpt.example.net,,relayed,` +
      `2.0.0 (success),"smtp;250 2.0.0 OK, queued as ${n}",mx1.example.net (192.0.2.23),success,smtp,` +
      `gen.example.com (192.0.2.163),smtp,192.0.2.30,192.0.2.23,"PIPELINING,8BITMIME,SIZE,STARTTLS",30704,vmta-a,spring,,` +
      `example.net/vmta-a,pool-1,${id},${n % 10}`,
  },
}

for (const [name, { header, line }] of Object.entries(shapes)) {
  const redis = await startRedis()
  for (const pid of [process.pid, redis.pid]) execFileSync('taskset', ['-apc', '1', String(pid)], { stdio: 'ignore' })
  const dir = mkdtempSync(join(tmpdir(), 'bench-acct-'))
  const etl = await startProcess(
    'taskset',
    ['-c', '0', process.execPath, 'cmd/acct_etl.ts', `--redis-url=${redis.url}`, `--spill-dir=${join(dir, 'spill')}`],
    { cwd: new URL('..', import.meta.url).pathname },
  )
  while (!etl.output.stdout.includes('reading')) await new Promise(resolve => setTimeout(resolve, 20))
  const begun = processUsage(etl.pid)
  const begunAt = performance.now()
  let usage: ProcessUsage | undefined
  const { stdin } = etl.child
  stdin?.write(`${header}\n`)
  for (let first = 0; first < total; first += 1_000) {
    const lines: string[] = []
    for (let n = first; n < Math.min(total, first + 1_000); n++) {
      lines.push(line(n, `0000${n.toString(16).padStart(16, '0')}`))
    }
    if (stdin?.write(`${lines.join('\n')}\n`) === false) await new Promise(resolve => stdin.once('drain', resolve))
    usage = processUsage(etl.pid) ?? usage
  }
  stdin?.end()
  const watch = setInterval(() => (usage = processUsage(etl.pid) ?? usage), 20)
  const { code } = await etl.exited
  clearInterval(watch)
  const seconds = (performance.now() - begunAt) / 1000
  const stored = (await redis.client.dbsize()) - 2
  if (code !== 0 || stored !== total)
    throw new Error(`${stored} of ${total} stored, exit ${code}: ${etl.output.stdout}`)
  const cpu = (usage?.cpuSeconds ?? 0) - (begun?.cpuSeconds ?? 0)
  console.log(
    [
      `${name}: ${total} records`,
      `rate            ${Math.round(total / seconds)} records/s`,
      `of one core     ${Math.round(total / cpu)} records per CPU second (aim 40,000)`,
      `peak memory     ${usage?.peakMb.toFixed(0)} MB`,
    ].join('\n'),
  )
  await redis.stop()
  rmSync(dir, { recursive: true, force: true })
}
