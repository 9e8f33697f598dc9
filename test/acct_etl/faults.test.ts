/** acct_etl driven as PowerMTA drives it, while it, its input or Redis fails. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { freePort, type StartedProcess, startProcess, until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { delivered, header, messageId, type Rig, setUp } from './rig.ts'

let rig: Rig
beforeEach(async () => {
  rig = await setUp()
})
afterEach(() => rig.stop())

/** Writes as PowerMTA does: waits while the pipe is full. Yields false when the reader has gone. */
async function write(etl: StartedProcess, text: string): Promise<boolean> {
  const { stdin } = etl.child
  if (!stdin || stdin.destroyed) return false
  return new Promise(resolve => stdin.write(text, error => resolve(!error)))
}

async function ended(etl: StartedProcess): Promise<void> {
  etl.child.stdin?.end()
  const { code } = await etl.exited
  assert.equal(code, 0, etl.output.stdout)
}

const stored = (numbers: readonly number[]) =>
  until(
    `${numbers.length} records`,
    async () => {
      const ids = await rig.recordIds()
      const missing = numbers.filter(number => !ids.has(messageId(number)))
      if (missing.length > 0) throw new Error(`${missing.length} are missing, the first is ${missing[0]}`)
      return true
    },
    20_000,
    50,
  )

const range = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)

test('killed and started again in mid-stream it goes on without a header, and loses at most what the pipe held', async () => {
  const total = 1_000 * (1 + sized(3, 100))
  const perWrite = 100
  let etl = await rig.start()
  await write(etl, `${header}\n`)
  const written: number[] = []
  /** Numbers whose fate a kill left open: written, perhaps not read. */
  const open = new Set<number>()
  for (let first = 0; first < total; first += perWrite) {
    if (first > 0 && first % 1_000 === 0) {
      // At the first kill the header must have been kept.
      if (first === 1_000) await stored(range(0, 1))
      etl.kill('SIGKILL')
      await etl.exited
      const ids = await rig.recordIds()
      for (const number of written) if (!ids.has(messageId(number))) open.add(number)
      etl = await rig.start()
    }
    if (await write(etl, delivered(first, perWrite))) written.push(...range(first, perWrite))
    else assert.fail('the pipe broke')
  }
  await ended(etl)
  await stored(written.filter(number => !open.has(number)))
  assert.ok(Buffer.byteLength(delivered(0, open.size)) <= (total / 1_000) * 128 * 1024, `${open.size} records lost`)
  assert.deepEqual(await rig.rejected(), [])

  // What a kill lost is in the accounting file too.
  const file = join(rig.dir, 'acct-2026-02-19-0000.csv')
  await writeFile(file, `${header}\n${delivered(0, total)}`)
  const replay = await rig.start([`--infile=${file}`])
  assert.equal((await replay.exited).code, 0)
  await stored(range(0, total))
})

test('the header is known from Redis when the spill folder is new or its file is damaged', async () => {
  const etl = await rig.start([], `${header}\n${delivered(1, 1)}`)
  assert.equal((await etl.exited).code, 0)
  await rm(rig.spillDir, { recursive: true })
  const next = await rig.start([], delivered(2, 5))
  assert.equal((await next.exited).code, 0)
  await stored(range(1, 6))
  await writeFile(join(rig.spillDir, 'header-test.json'), '["type","rcp')
  const third = await rig.start([], delivered(7, 5))
  assert.equal((await third.exited).code, 0)
  await stored(range(1, 11))
  assert.deepEqual(await rig.rejected(), [])
})

test('the columns of a file that is read do not become those of the pipe', async () => {
  const etl = await rig.start([], `${header}\n${delivered(1, 1)}`)
  assert.equal((await etl.exited).code, 0)
  const file = join(rig.dir, 'old.csv')
  await writeFile(file, `type,header_x-sp-message-id,rcpt\nd,${messageId(7)},other@example.net\n`)
  const replay = await rig.start([`--infile=${file}`])
  assert.equal((await replay.exited).code, 0)
  const next = await rig.start([], delivered(2, 1))
  assert.equal((await next.exited).code, 0)
  assert.deepEqual(await rig.record(messageId(7)), { recipient: 'other@example.net' })
  assert.deepEqual(await rig.record(messageId(2)), { recipient: 'reader-2@example.net', subaccount: 0 })
})

test('without any header known nothing is guessed', async () => {
  const etl = await rig.start([], `${delivered(1, 2)}${header}\n${delivered(3, 2)}`)
  assert.equal((await etl.exited).code, 0)
  assert.deepEqual(await rig.recordIds(), new Set([messageId(3), messageId(4)]))
  assert.deepEqual(
    (await rig.rejected()).map(({ reason }) => reason),
    ['no header line has come yet', 'no header line has come yet'],
  )
})

test('bad lines are rejected with their reason, the rest goes on', async () => {
  const bad = [
    'd,short',
    'd,"open',
    `d,a@b,${messageId(9)},1,extra`,
    'Ωrubbish',
    'd,x@y,white space,1',
    'x'.repeat(70_000),
  ]
  const text = [header, ...bad.flatMap((line, i) => [delivered(100 + i, 1).trimEnd(), line]), delivered(200, 1)].join(
    '\n',
  )
  const etl = await rig.start([], text)
  assert.equal((await etl.exited).code, 0)
  await stored([...range(100, bad.length), 200])
  assert.equal((await rig.recordIds()).size, bad.length + 1)
  const rejected = await rig.rejected()
  assert.equal(rejected.length, bad.length)
  for (const { reason, record } of rejected) assert.ok(reason.length > 5 && record.length <= 4_096)
})

test('Redis away: records wait on disk, the pipe is not held, and they are stored when it is back', async () => {
  const etl = await rig.start()
  await write(etl, `${header}\n${delivered(0, 10)}`)
  await stored(range(0, 10))
  await rig.redis.kill('SIGKILL')
  const began = performance.now()
  for (let first = 10; first < 5_010; first += 500) assert.ok(await write(etl, delivered(first, 500)))
  assert.ok(performance.now() - began < 10_000, 'the pipe was held')
  await until('records on disk', () => etl.output.stdout.includes('keeping them'))
  await rig.redis.restart()
  await stored(range(0, 5_010))
  await ended(etl)
})

test('every record is counted where it is, before, while and after Redis is away', async () => {
  const port = await freePort()
  const etl = await rig.start([`--metrics-hostport=127.0.0.1:${port}`])
  await write(etl, `${header}\n${delivered(0, 500)}`)
  await stored(range(0, 500))
  const values = async () => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    const value = (name: string) => Number(new RegExp(`^acct_etl_${name} (\\d+)$`, 'm').exec(text)?.[1])
    return {
      lines: value('lines_total\\{outcome="record"\\}'),
      stored: value('records_stored_total'),
      spilled: value('records_spilled_total'),
      drained: value('records_drained_total'),
      held: value('records_held'),
    }
  }
  const settled = (lines: number) =>
    until('nothing to be held', async () => {
      const counts = await values()
      return counts.lines === lines && counts.held === 0 && counts
    })
  assert.deepEqual(await settled(500), { lines: 500, stored: 500, spilled: 0, drained: 0, held: 0 })
  await rig.redis.kill('SIGKILL')
  await write(etl, delivered(500, 2_000))
  const away = await settled(2_500)
  assert.deepEqual(away, { lines: 2_500, stored: 500, spilled: 2_000, drained: 0, held: 0 })
  await rig.redis.restart()
  await stored(range(0, 2_500))
  await until('all to be drained', async () => (await values()).drained === 2_000)
  await ended(etl)
})

test('Redis away at the end of the input: the next start stores what waits on disk', async () => {
  const etl = await rig.start()
  await write(etl, `${header}\n${delivered(0, 1)}`)
  await stored([0])
  await rig.redis.kill('SIGKILL')
  await write(etl, delivered(1, 700))
  await ended(etl)
  assert.match(etl.output.stdout, /wait on disk/)
  await rig.redis.restart()
  const next = await rig.start()
  await stored(range(0, 701))
  await ended(next)
})

test('Redis died with what it had confirmed, and the input ends: the next start stores that again', async () => {
  const etl = await rig.start()
  await write(etl, `${header}\n${delivered(0, 300)}`)
  await stored(range(0, 300))
  await rig.redis.kill('SIGKILL')
  await write(etl, delivered(300, 1))
  await ended(etl)
  await rig.redis.restartWithout(20_000)
  assert.ok((await rig.recordIds()).size < 300)
  const next = await rig.start()
  await stored(range(0, 301))
  await ended(next)
})

test('Redis frozen: records wait on disk and are stored after the thaw', async () => {
  const etl = await rig.start()
  await write(etl, `${header}\n${delivered(0, 1)}`)
  await stored([0])
  await rig.redis.kill('SIGSTOP')
  await write(etl, delivered(1, 3_000))
  await until('it to notice', () => etl.output.stdout.includes('keeping them'), 20_000)
  await rig.redis.kill('SIGCONT')
  await stored(range(0, 3_001))
  await ended(etl)
})

test('Redis out of memory: records wait on disk until there is room', async () => {
  const etl = await rig.start()
  await write(etl, `${header}\n${delivered(0, 1)}`)
  await stored([0])
  await rig.redis.client.config('SET', 'maxmemory', '1mb')
  await write(etl, delivered(1, 1_000))
  await until('it to notice', () => etl.output.stdout.includes('keeping them'), 20_000)
  await rig.redis.client.config('SET', 'maxmemory', '0')
  await stored(range(0, 1_001))
  await ended(etl)
})

test('disk full as well: the pipe is held, and nothing is lost', async () => {
  const etl = await rig.start(['--spill-max-bytes=50kB'])
  await write(etl, `${header}\n${delivered(0, 1)}`)
  await stored([0])
  await rig.redis.kill('SIGKILL')
  const total = 30_000
  const writing = write(etl, delivered(1, total))
  await until('records on disk', () => etl.output.stdout.includes('keeping them'))
  // More is written than disk, memory and pipe take together: it must not all be gone.
  const held = await Promise.race([writing, new Promise(resolve => setTimeout(() => resolve('held'), 3_000))])
  assert.equal(held, 'held')
  await rig.redis.restart()
  await writing
  await ended(etl)
  await stored(range(0, total + 1))
})

test('SIGTERM stores what was written, and exits 0', async () => {
  const etl = await rig.start()
  await write(etl, `${header}\n${delivered(0, 2_000)}`)
  await stored([0])
  etl.kill('SIGTERM')
  assert.equal((await etl.exited).code, 0, etl.output.stdout)
  await stored(range(0, 2_000))
})

test('--events makes delivery events, the same when a file is read twice', async () => {
  const columns = 'type,timeLogged,timeQueued,orig,rcpt,dsnStatus,dsnDiag,bounceCat,header_x-sp-message-id'
  const lines = ['d', 'b', 't', 'rb', 'f', 'r'].map(
    (type, i) => `${type},1178807903,1178807900,a@b,c@d,2.0.0 (x),smtp;250 ok,other,${messageId(i)}`,
  )
  const file = join(rig.dir, 'acct.csv')
  await writeFile(file, [columns, ...lines, ''].join('\r\n'))
  for (let round = 0; round < 2; round++) {
    const etl = await rig.start(['--events', `--infile=${file}`])
    assert.equal((await etl.exited).code, 0, etl.output.stdout)
  }
  const events = await rig.events()
  assert.equal(events.length, 10)
  assert.deepEqual(new Set(events.map(({ type }) => type)).size, 5)
  assert.equal(new Set(events.map(({ id }) => id)).size, 5)
  assert.deepEqual(
    (await readdir(rig.spillDir)).filter(name => name.startsWith('events-replay')),
    [],
  )
})

test('events that a killed replay left on disk are finished by the next start, whatever it is for', async () => {
  const columns = 'type,timeLogged,orig,rcpt,header_x-sp-message-id'
  const file = join(rig.dir, 'acct.csv')
  const lines = range(0, 50).map(i => `b,1178807903,a@b,c@d,${messageId(i)}`)
  await writeFile(file, [columns, ...lines, ''].join('\r\n'))
  const replays = async () => (await readdir(rig.spillDir)).filter(name => name.startsWith('events-replay'))
  for (const next of [[], [`--infile=${file}`]]) {
    await rig.redis.kill('SIGKILL')
    const port = await freePort()
    const etl = await rig.start(['--events', `--infile=${file}`, `--metrics-hostport=127.0.0.1:${port}`])
    await until('all events on disk', async () => {
      const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
      return metrics.includes(`\nacct_etl_spill_events ${lines.length}\n`)
    })
    etl.kill('SIGKILL')
    await etl.exited
    await rig.redis.restart()
    await rig.redis.client.flushall()
    const heir = await rig.start(next)
    await until('all events', async () => new Set((await rig.events()).map(({ id }) => id)).size === lines.length)
    await until('the folder to be removed', async () => (await replays()).length === 0)
    await (next.length > 0 ? heir.exited : heir.stop())
  }
})

test('two on one spill folder: the second waits for the first', async () => {
  const first = await rig.start()
  await write(first, `${header}\n${delivered(0, 1)}`)
  await stored([0])
  const second = await rig.start([], delivered(1, 1))
  await ended(first)
  assert.equal((await second.exited).code, 0, second.output.stdout)
  await stored([0, 1])
})

test('an input file that is none is one clear line', async () => {
  for (const [path, why] of [
    ['/nonexistent/acct.csv', 'ENOENT'],
    [rig.dir, 'a folder'],
  ]) {
    const etl = await rig.start([`--infile=${path}`])
    assert.equal((await etl.exited).code, 1)
    assert.ok(etl.output.stdout.includes(`--infile ${path} can't be read (${why}): check`), etl.output.stdout)
  }
})

test('an input that breaks is told once, what came before is stored, and the spill is let go of', async () => {
  const source = createServer()
  await new Promise<void>(resolve => source.listen(0, '127.0.0.1', resolve))
  const { port } = source.address() as AddressInfo
  const came = once(source, 'connection') as Promise<[Socket]>
  const words = ['cmd/acct_etl.ts', `--redis-url=${rig.redis.url}`, `--spill-dir=${rig.spillDir}`]
  const etl = await startProcess('bash', [
    '-c',
    `exec "$@" </dev/tcp/127.0.0.1/${port}`,
    '-',
    process.execPath,
    ...words,
  ])
  const [socket] = await came
  source.close()
  socket.on('error', () => undefined)
  socket.write(`${header}\n${delivered(0, 100)}`)
  await stored(range(0, 100))
  socket.resetAndDestroy()
  assert.equal((await etl.exited).code, 1)
  assert.equal(etl.output.stdout.split('"level":"fatal"').length, 2, etl.output.stdout)
  assert.match(etl.output.stdout, /ECONNRESET[^]*"record":100,[^]*"msg":"ended"/)
  assert.ok(!(await readdir(join(rig.spillDir, 'records'))).includes('lock'))
})
