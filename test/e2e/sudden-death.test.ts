/**
 * The whole pipeline under traffic while its processes and its Redis are killed and frozen one after the other: every
 * mail that was accepted arrives, every click that was answered becomes an event.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
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

const deaths = sized(10, 300)
const victims = ['tracker', 'redis', 'wrapper', 'feeder', 'console']

let pipeline: TestPipeline
before(async () => {
  pipeline = await TestPipeline.make()
  const started = pipeline.start('--detach')
  assert.equal(started.status, 0, started.stdout + started.stderr)
})
after(() => pipeline.close())

interface Traffic {
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
  const client = await Peer.connect(pipeline.wrapperPort)
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

async function mailbox(): Promise<Mail[]> {
  const answer = await request(`${pipeline.consoleUrl}/api/mailbox`)
  return (await answer.body.json()) as Mail[]
}

async function readMails(traffic: Traffic, known: Set<string>): Promise<void> {
  for (const { id } of await mailbox()) {
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

async function storedEvents(): Promise<StoredEvent[]> {
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

test(`${deaths} sudden deaths: no mail and no event is lost`, async () => {
  const traffic: Traffic = { over: false, accepted: new Set(), links: [], answered: [], asked: 0 }
  let sent = 0
  let turn = 0
  const known = new Set<string>()
  const workers = [
    ...[1, 2].map(() => again(traffic, () => sendMail(traffic, `r${sent++}@customer.example`), 20)),
    again(traffic, () => readMails(traffic, known), 200),
    ...[1, 2, 3].map(() => again(traffic, () => follow(traffic, turn++), 5)),
  ]
  await until('traffic', () => traffic.answered.length > 20, 30_000)
  for (let death = 0; death < deaths; death++) {
    const victim = victims[death % victims.length]!
    const pid = await until(`${victim} to run`, () => pipeline.running().get(victim), 60_000, 50)
    // Frozen rather than dead now and then: neighbours wait for an answer that never comes.
    const isFrozen = death % 7 === 6
    process.kill(pid, isFrozen ? 'SIGSTOP' : 'SIGKILL')
    await sleep(300 + 100 * (death % 9))
    if (isFrozen) process.kill(pid, 'SIGCONT')
  }
  await sleep(500)
  traffic.over = true
  await Promise.all(workers)

  assert.deepEqual(
    traffic.answered.filter(({ status }) => status !== 200 && status !== 302),
    [],
    'every request that was answered got its pixel or its redirect',
  )
  await until('all to be healthy again', () => pipeline.start('status').status === 0, 60_000, 500)
  const arrived = new Set((await mailbox()).flatMap(({ to }) => to))
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
      const stored = counted((await storedEvents()).map(event => `${event.type} ${event.message_id}`))
      const missing = [...due].filter(([key, count]) => (stored.get(key) ?? 0) < count)
      if (missing.length > 0) throw new Error(`${missing.length} messages lack events: ${missing[0]!.join(': ')}`)
      return true
    },
    60_000,
    1_000,
  )
  const stored = await storedEvents()
  assert.equal(new Set(stored.map(event => event.event_id)).size, stored.length, 'none is stored twice')
  assert.ok(stored.length <= traffic.asked, 'no event without a request')
})
