/** What every destination has to do, and what each does besides. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { freePort, startProcess, until, waitForPort } from '../support/process.ts'
import { arrived, type Rig, type RunningFeeder, setUp } from './rig.ts'

let rig: Rig
beforeEach(async () => {
  rig = await setUp()
})
afterEach(() => rig.stop())

const secret = 'canary-secret'
const destinations: Record<string, () => Promise<RunningFeeder>> = {
  sparkpost: () => rig.feeder(),
  'webhook, NDJSON': () =>
    rig.feeder(['--destination=webhook', `--endpoint=${rig.endpoint.url}/hook`], { FEEDER_WEBHOOK_SECRET: secret }),
  'webhook, JSON array': () =>
    rig.feeder(['--destination=webhook', `--endpoint=${rig.endpoint.url}/hook`, '--webhook-format=json']),
}

for (const [name, start] of Object.entries(destinations)) {
  describe(name, () => {
    test('delivers, retries what failed, isolates what is refused, keeps what is not allowed', async () => {
      const issued = await rig.issue(60)
      const poison = issued[17]
      const script = [{ status: 503 }, { status: 403 }]
      rig.endpoint.answer = ({ events }) =>
        script.shift() ?? (events.some(event => event.event_id === poison?.id) ? { status: 400 } : undefined)
      const feeder = await start()
      await until('health to say so', async () => (await feeder.health()).reasons['upload']?.includes('403'))
      feeder.kill('SIGHUP')
      await arrived(
        rig,
        issued.filter(event => event !== poison),
      )
      await until('the queue to be empty', async () => (await rig.waiting()) === 0)
      assert.deepEqual(
        (await rig.deadLetters()).map(letter => letter.event?.id),
        [poison?.id],
      )
      assert.deepEqual(rig.endpoint.flaws, [])
      assert.ok([...rig.endpoint.ledger.values()].every(times => times === 1))
      assert.ok(!feeder.output.stdout.includes('canary'), 'a secret in the log')
    })
  })
}

test('webhook requests are signed with the time they were sent at', async () => {
  const issued = await rig.issue(3)
  const secretFile = join(rig.dir, 'secret')
  await writeFile(secretFile, `${secret}\n`)
  await rig.feeder([
    '--destination=webhook',
    `--endpoint=${rig.endpoint.url}/hook?a=1`,
    `--webhook-secret-file=${secretFile}`,
  ])
  await arrived(rig, issued)
  const [request] = rig.endpoint.requests
  assert.ok(request)
  assert.equal(request.url, '/hook?a=1')
  const timestamp = String(request.headers['x-mta-tracking-timestamp'])
  assert.ok(Math.abs(Number(timestamp) - Date.now() / 1000) < 60)
  const mac = createHmac('sha256', secret).update(`${timestamp}.`).update(request.body).digest('hex')
  assert.equal(request.headers['x-mta-tracking-signature'], `v1=${mac}`)
  assert.equal(request.headers.authorization, undefined)
})

test('--verify asks what became of batches, sends again what was lost, dead-letters what failed', async () => {
  const asked = new Map<string, number>()
  let issued: { id: string }[] = []
  rig.endpoint.answerGet = url => {
    const failures = /^\/api\/v1\/ingest\/events\/failures\/(.+)$/.exec(url)
    if (failures) return { status: 200, body: `{"msys":{"track_event":{"event_id":"${issued[4]?.id}"}}}\n` }
    const id = /^\/api\/v1\/events\/ingest\?batch_ids=(.+)$/.exec(url)?.[1] ?? ''
    const times = (asked.get(id) ?? 0) + 1
    asked.set(id, times)
    const entry = (more: object) => ({ status: 200, body: JSON.stringify({ results: [{ batch_id: id, ...more }] }) })
    if (times === 1) return { status: 200, body: '{"results":[]}' }
    if (asked.size === 1) return entry({ type: 'error', error_type: 'system', retryable: true, number_failed: 10 })
    if (asked.size === 2) {
      return entry({ type: 'error', error_type: 'validation', retryable: false, number_succeeded: 9, number_failed: 1 })
    }
    return entry({ type: 'success', number_succeeded: 10, number_failed: 0 })
  }
  issued = await rig.issue(10)
  const feeder = await rig.feeder(['--verify', '--batch-age=500ms'])
  await until('the queue to be empty', async () => (await rig.waiting()) === 0, 30_000)
  assert.ok(
    [...rig.endpoint.ledger.values()].every(times => times === 2),
    'sent again',
  )
  assert.deepEqual(
    (await rig.deadLetters()).map(letter => [letter.event?.id, letter.reason]),
    [[issued[4]?.id, 'refused after acceptance: validation']],
  )
  const more = await rig.issue(10)
  await arrived(rig, more)
  await until('the queue to be empty', async () => (await rig.waiting()) === 0)
  assert.equal(await feeder.metric('feeder_events_uploaded_total'), 19)
  assert.equal(await feeder.metric('feeder_events_taken_total'), 20)
})

test('--verify: a stop while the service does not say what became of a batch leaves it in the queue', async () => {
  rig.endpoint.answerGet = () => ({ status: 200, delayMs: 15_000 })
  const issued = await rig.issue(3)
  const feeder = await rig.feeder(['--verify'])
  await until('a question', () => rig.endpoint.requests.some(({ method }) => method === 'GET'))
  assert.equal((await feeder.stop(20_000)).code, 0, feeder.output.stdout)
  assert.match(feeder.output.stdout, /"returned":3/)
  assert.equal(await rig.waiting(), 3)
  rig.endpoint.answerGet = url => {
    const id = url.slice(url.indexOf('=') + 1)
    return { status: 200, body: JSON.stringify({ results: [{ batch_id: id, type: 'success' }] }) }
  }
  await rig.feeder(['--verify', '--request-timeout=1s', '--lease=2s'])
  await until('the queue to be empty', async () => (await rig.waiting()) === 0, 20_000)
  for (const { id } of issued) assert.equal(rig.endpoint.ledger.get(id), 2)
})

test('bad settings are refused with one line and exit 2', async () => {
  const refused: [string[], Record<string, string>, RegExp][] = [
    [[], { SPARKPOST_API_KEY_INGEST: '' }, /there is no key: set SPARKPOST_API_KEY_INGEST or --api-key-file/],
    [['--endpoint=http://api.sparkpost.com'], {}, /this machine only/],
    [['--batch-bytes=6MB'], {}, /5MB/],
    [['--destination=sparkpots'], {}, /sparkpost, webhook/],
    [['--lease=10s'], {}, /twice --request-timeout/],
    [['--request-timeout=0'], {}, /--request-timeout: expected 100ms or more/],
    [['--event-age-max=0'], {}, /--event-age-max: expected 1m or more/],
    [['--endpoint=https://api.example.com?key=canary-1'], {}, /--endpoint: expected a URL without \?/],
    [['--endpoint=https://me:canary-2@api.example.com'], {}, /without user name and password/],
    [['--destination=webhook', '--endpoint=http://example.com/canary-3'], {}, /this machine only/],
  ]
  for (const [args, env, message] of refused) {
    const feeder = await rig.feeder(args, env)
    assert.equal((await feeder.exited).code, 2)
    assert.match(feeder.output.stderr, message)
    assert.doesNotMatch(feeder.output.stderr, /canary/)
    assert.equal(feeder.output.stderr.trim().split('\n').length, 1)
  }
})

test('the console is a sparkpost destination, verification included', async () => {
  const port = await freePort()
  const smtpPort = await freePort()
  const local = await startProcess(
    'node',
    [
      'cmd/console.ts',
      `--in-hostport=127.0.0.1:${port}`,
      `--smtp-hostport=127.0.0.1:${smtpPort}`,
      `--data-dir=${join(rig.dir, 'console')}`,
    ],
    { cwd: new URL('../..', import.meta.url).pathname },
  )
  try {
    await waitForPort(port)
    const good = await rig.issue(5)
    const [bad] = await rig.issue(1, { id: '9223372036854775808' })
    await rig.feeder(['--verify', `--endpoint=http://127.0.0.1:${port}`])
    await until('the queue to be empty', async () => (await rig.waiting()) === 0, 20_000)
    const stored = await (await fetch(`http://127.0.0.1:${port}/api/events`)).text()
    for (const { id } of good) assert.ok(stored.includes(id), `${id} is not stored`)
    assert.deepEqual(
      (await rig.deadLetters()).map(letter => letter.event?.id),
      [bad?.id],
    )
  } finally {
    await local.stop()
  }
})
