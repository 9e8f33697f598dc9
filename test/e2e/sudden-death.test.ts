/**
 * The whole pipeline under traffic while its processes and its Redis are killed and frozen one after the other: every
 * mail that was accepted arrives, every click that was answered becomes an event.
 *
 * The supervisor waits longer before each new start of what keeps dying, and forgets that when it has run for a minute. So
 * in the long form two pipelines share the deaths, and a process that died often is left in peace until it is forgotten.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { simpleParser } from 'mailparser'
import { request } from 'undici'
import { LinkKeys } from '../../lib/link/keys.ts'
import { tokenOfUrl } from '../../lib/link/link-url.ts'
import { verifyToken } from '../../lib/link/token.ts'
import { Peer } from '../smtp/peer.ts'
import { TestPipeline } from '../support/pipeline.ts'
import { until } from '../support/process.ts'
import { sized } from '../support/soak.ts'

const deaths = sized(10, 150)
const pipelines = sized(1, 2)
const victims = ['tracker', 'redis', 'wrapper', 'feeder', 'console']

/** Deaths in a row before a process is left in peace. */
const deathsInRow = 4
/** The supervisor forgets the deaths of what has run for 60 s. */
const peaceMs = 62_000

interface Traffic {
  readonly pipeline: TestPipeline
  over: boolean
  /** Recipients whose mail was answered 250. */
  readonly accepted: Set<string>
  /** Links found in mails that arrived. */
  readonly links: string[]
  /** The links of requests that were answered, and the answers. */
  readonly answered: { readonly link: string; readonly status: number }[]
  /** Requests made, whatever became of them. */
  asked: number
}

/** Does something again and again until the traffic is over; what fails is tried anew. */
async function again(traffic: Traffic, act: () => Promise<void>, pauseMs: number): Promise<void> {
  while (!traffic.over) {
    try {
      await act()
    } catch {
      await sleep(50)
    }
    await sleep(pauseMs)
  }
}

async function sendMail(traffic: Traffic, recipient: string): Promise<void> {
  const client = await Peer.connect(traffic.pipeline.wrapperPort)
  try {
    await client.reply()
    for (const command of ['EHLO client.test', 'MAIL FROM:<news@shop.example>', `RCPT TO:<${recipient}>`, 'DATA'])
      if (!/^[23]/.test(await client.ask(command))) return
    const reply = await client.ask(
      `Subject: to ${recipient}\r\nContent-Type: text/html\r\n\r\n` +
        `<body><a href="https://shop.example/?to=${recipient}">tea</a></body>\r\n.`,
    )
    if (reply.startsWith('250')) traffic.accepted.add(recipient)
  } finally {
    client.socket.destroy()
  }
}

interface Mail {
  readonly id: string
  readonly to: readonly string[]
}

async function mailbox(pipeline: TestPipeline): Promise<Mail[]> {
  const answer = await request(`${pipeline.consoleUrl}/api/mailbox`)
  return (await answer.body.json()) as Mail[]
}

async function readMails(traffic: Traffic, known: Set<string>): Promise<void> {
  const { pipeline } = traffic
  for (const { id } of await mailbox(pipeline)) {
    if (known.has(id)) continue
    const answer = await request(`${pipeline.consoleUrl}/api/mailbox/${id}`)
    const { html } = await simpleParser(await answer.body.text())
    for (const [, link] of String(html).matchAll(/(?:href|src)="([^"]+)"/g)) traffic.links.push(link!)
    known.add(id)
  }
}

async function follow(traffic: Traffic, turn: number): Promise<void> {
  const link = traffic.links[turn % traffic.links.length]
  if (link === undefined) return
  traffic.asked++
  const { statusCode, body } = await request(link, { reset: true, headers: { 'user-agent': 'Mozilla/5.0 (X11)' } })
  traffic.answered.push({ link, status: statusCode })
  await body.dump()
}

interface StoredEvent {
  readonly message_id: string
  readonly type: string
  readonly event_id: string
}

async function storedEvents(pipeline: TestPipeline): Promise<StoredEvent[]> {
  const answer = await request(`${pipeline.consoleUrl}/api/events`)
  const text = await answer.body.text()
  assert.equal(answer.statusCode, 200)
  return text.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line) as StoredEvent]))
}

function counted(keys: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}

/** Kills its processes one after the other, now and then freezes one instead: neighbours wait for an answer that never comes. */
async function haunt(pipeline: TestPipeline): Promise<void> {
  const died = new Map(victims.map(victim => [victim, 0]))
  const seen = new Map<number, number>()
  const killed = new Set<number>()
  /** Of those that run and are not left in peace, the one that died least. */
  const next = () => {
    const running = pipeline.running()
    const due = victims.filter(victim => {
      const pid = running.get(victim)
      if (pid === undefined || killed.has(pid)) return false
      const since = seen.get(pid) ?? performance.now()
      seen.set(pid, since)
      const deathsBefore = died.get(victim)!
      return deathsBefore % deathsInRow !== 0 || deathsBefore === 0 || performance.now() - since > peaceMs
    })
    const victim = due.toSorted((a, b) => died.get(a)! - died.get(b)!)[0]
    return victim === undefined ? undefined : { victim, pid: running.get(victim)! }
  }
  for (let death = 0; death < deaths; death++) {
    const { victim, pid } = await until('a process that may die', next, 120_000, 50)
    died.set(victim, died.get(victim)! + 1)
    const isFrozen = death % 7 === 6
    if (!isFrozen) killed.add(pid)
    process.kill(pid, isFrozen ? 'SIGSTOP' : 'SIGKILL')
    await sleep(300 + 100 * (death % 9))
    if (isFrozen) process.kill(pid, 'SIGCONT')
  }
}

async function survive(pipeline: TestPipeline): Promise<void> {
  const traffic: Traffic = { pipeline, over: false, accepted: new Set(), links: [], answered: [], asked: 0 }
  let sent = 0
  let turn = 0
  const known = new Set<string>()
  const workers = [
    ...[1, 2].map(() => again(traffic, () => sendMail(traffic, `r${sent++}@customer.example`), 20)),
    again(traffic, () => readMails(traffic, known), 200),
    ...[1, 2, 3].map(() => again(traffic, () => follow(traffic, turn++), 5)),
  ]
  await until('traffic', () => traffic.answered.length > 20, 30_000)
  await haunt(pipeline)
  await sleep(500)
  traffic.over = true
  await Promise.all(workers)

  assert.deepEqual(
    traffic.answered.filter(({ status }) => status !== 200 && status !== 302),
    [],
    'every request that was answered got its pixel or its redirect',
  )
  await until('all to be healthy again', () => pipeline.start('status').status === 0, 60_000, 500)
  const arrived = new Set((await mailbox(pipeline)).flatMap(({ to }) => to))
  assert.deepEqual(
    [...traffic.accepted].filter(recipient => !arrived.has(recipient)),
    [],
    'accepted mail arrived',
  )

  const keys = LinkKeys.load(pipeline.keysFile)
  const due = counted(
    traffic.answered.map(({ link }) => {
      const verdict = verifyToken(tokenOfUrl(link), keys)
      assert.ok(verdict.ok, link)
      return `${verdict.link.action} ${verdict.link.messageId}`
    }),
  )
  await until(
    'an event for each answer',
    async () => {
      const stored = counted((await storedEvents(pipeline)).map(event => `${event.type} ${event.message_id}`))
      const missing = [...due].filter(([key, count]) => (stored.get(key) ?? 0) < count)
      if (missing.length > 0) throw new Error(`${missing.length} messages lack events: ${missing[0]!.join(': ')}`)
      return true
    },
    60_000,
    1_000,
  )
  const stored = await storedEvents(pipeline)
  assert.equal(new Set(stored.map(event => event.event_id)).size, stored.length, 'none is stored twice')
  assert.ok(stored.length <= traffic.asked, 'no event without a request')
}

describe(`${pipelines * deaths} sudden deaths`, { concurrency: true }, () => {
  for (let number = 1; number <= pipelines; number++) {
    test(`pipeline ${number}: no mail and no event is lost`, async () => {
      const pipeline = await TestPipeline.make()
      try {
        const started = pipeline.start('--detach')
        assert.equal(started.status, 0, started.stdout + started.stderr)
        await survive(pipeline)
      } finally {
        pipeline.close()
      }
    })
  }
})
