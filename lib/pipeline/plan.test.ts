import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { hostPort, option, text, type OptionTable } from '../process/option.ts'
import { SettingsError } from '../process/settings.ts'
import { planPipeline, type PlanInput } from './plan.ts'

/** What the plan looks at, of the settings that the processes have. */
const endpoint = { endpoint: option(text, { help: '' }), 'api-key': option(text, { help: '' }) }
const options: PlanInput['options'] = {
  console: {
    'in-hostport': option(hostPort, { help: '', default: '127.0.0.1:8025' }),
    'smtp-hostport': option(hostPort, { help: '', default: '127.0.0.1:2525' }),
    'api-key': option(text, { help: '' }),
  },
  tracker: { 'in-hostport': option(hostPort, { help: '', default: '127.0.0.1:8888' }) },
  feeder: { ...endpoint, 'api-key': option(text, { help: '', env: 'SPARKPOST_API_KEY_INGEST' }) },
  agent: { ...endpoint, 'log-path': option(text, { help: '', default: '/var/log/mail.log' }) },
  wrapper: {
    'in-hostport': option(hostPort, { help: '', default: 'localhost:587' }),
    'out-hostport': option(hostPort, { help: '', default: '127.0.0.1:25' }),
  },
} satisfies Record<string, OptionTable>

let dir: string
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'plan-'))))
afterEach(() => rmSync(dir, { recursive: true }))

function plan(yaml: string, changes: Partial<PlanInput> = {}) {
  const configFile = join(dir, 'config.yaml')
  writeFileSync(configFile, yaml)
  return planPipeline({
    root: dir,
    node: '/usr/bin/node',
    configFile,
    stateDir: join(dir, 'var'),
    run: ['wrapper', 'console', 'feeder', 'tracker'],
    env: {},
    options,
    ...changes,
  })
}

test('planPipeline starts whoever takes events before whoever makes them', () => {
  const { children } = plan('')
  assert.deepEqual(
    children.map(child => child.name),
    ['redis', 'console', 'tracker', 'feeder', 'wrapper'],
  )
})

test('planPipeline gives a private Redis on a unix socket to all, which nobody else can reach', () => {
  const { children } = plan('')
  const redis = children[0]!
  const socket = join(dir, 'var/redis/redis.sock')
  assert.equal(redis.args[redis.args.indexOf('--port') + 1], '0')
  assert.equal(redis.args[redis.args.indexOf('--appendonly') + 1], 'yes')
  assert.equal(redis.args[redis.args.indexOf('--maxmemory-policy') + 1], 'noeviction')
  for (const { name, env } of children.slice(1)) {
    assert.equal(env['REDIS_URL'], name === 'console' ? undefined : `unix://${socket}`)
  }
})

test('planPipeline leaves a process the Redis that its own section names, and starts none that nobody uses', () => {
  const { children } = plan('feeder:\n  redis-url: redis://10.0.0.9')
  const url = (name: string) => children.find(child => child.name === name)?.env['REDIS_URL']
  assert.equal(url('feeder'), undefined)
  assert.match(url('tracker') ?? '', /redis\.sock$/)
  assert.deepEqual(
    plan('', { run: ['console', 'agent'] }).children.map(child => child.name),
    ['console', 'agent'],
  )
})

test('planPipeline writes the socket of a folder with any name as a URL', () => {
  const { children } = plan('', { stateDir: join(dir, 'a b%20#1?') })
  const url = new URL(children[1]!.env['REDIS_URL'] ?? children[2]!.env['REDIS_URL']!)
  assert.equal(decodeURIComponent(url.pathname), children[0]!.health)
})

test('planPipeline keeps the socket of a deep folder within what a socket address holds', () => {
  const deep = join(dir, 'd'.repeat(120))
  const socket = plan('', { stateDir: deep }).children[0]!.health
  assert.ok(Buffer.byteLength(socket) <= 107, socket)
  assert.notEqual(socket, plan('', { stateDir: `${deep}2` }).children[0]!.health)
})

test('planPipeline starts no Redis when the file or the environment names one', () => {
  for (const { children } of [
    plan('redis-url: redis://10.0.0.9:6379'),
    plan('', { env: { REDIS_URL: 'redis://10.0.0.9:6379' } }),
  ]) {
    assert.ok(children.every(child => child.name !== 'redis' && child.env['REDIS_URL'] === undefined))
  }
})

test('planPipeline hands a made-up key only to a feeder that uploads to this machine', () => {
  const key = (yaml: string, env = {}) =>
    plan(yaml, { env }).children.find(child => child.name === 'feeder')?.env['SPARKPOST_API_KEY_INGEST']
  assert.equal(key('feeder:\n  endpoint: http://127.0.0.1:8025'), 'local')
  assert.equal(key('feeder:\n  endpoint: http://127.0.0.1:8025', { SPARKPOST_API_KEY_INGEST: 'own' }), undefined)
  assert.equal(key('feeder:\n  endpoint: https://api.sparkpost.com'), undefined)
  for (const host of ['localhost.example.com', '127.example.com', 'localhost@example.com', '127.0.0.1.example.com'])
    assert.equal(key(`feeder:\n  endpoint: http://${host}:8025/x`), undefined, host)
  assert.equal(key(''), undefined)
  const agent = plan('agent:\n  endpoint: http://localhost:8025/x\nconsole:\n  api-key: k', {
    run: ['console', 'agent'],
  })
  assert.equal(agent.children.find(child => child.name === 'agent')?.env['SENDPOST_API_KEY'], 'k')
})

test('planPipeline shows where processes are reached as their environment says, without what follows a ?', () => {
  const { children } = plan(
    'feeder:\n  endpoint: https://hooks.example.com/in?token=1\nwrapper:\n  in-hostport: 127.0.0.1:25',
    {
      env: { WRAPPER_IN_HOSTPORT: '0.0.0.0:2587', WRAPPER_METRICS_HOSTPORT: ':9999' },
    },
  )
  const child = (name: string) => children.find(candidate => candidate.name === name)!
  assert.equal(child('wrapper').listens[0]?.where, '127.0.0.1:2587')
  assert.equal(child('wrapper').health, '127.0.0.1:9999')
  assert.ok(!child('wrapper').args.includes('--metrics-hostport'))
  assert.equal(child('feeder').listens[0]?.where, 'https://hooks.example.com/in?…')
})

test('planPipeline has link keys of its own for who says nothing of any', () => {
  const own = plan('')
  assert.equal(own.linkKeysFile, join(dir, 'var/link-keys'))
  assert.equal(own.children.find(child => child.name === 'tracker')?.env['LINK_KEYS_FILE'], own.linkKeysFile)
  const given = plan('link-keys: /etc/keys')
  assert.equal(given.linkKeysFile, '/etc/keys')
  assert.equal(given.children.find(child => child.name === 'tracker')?.env['LINK_KEYS_FILE'], undefined)
})

test('planPipeline names every process whose settings are wrong', () => {
  assert.throws(() => plan('tracker:\n  in-hostport: x\nwrapper:\n  bogus: 1'), {
    name: SettingsError.name,
    message: /^tracker: .*:2: in-hostport "x": expected[^]*\nwrapper: .*:4: unknown setting "bogus"/,
  })
  assert.throws(() => plan('tracking-url: nowhere'), {
    message: /^console, tracker, feeder, wrapper: .*:1: tracking-url "nowhere": expected a URL [^\n]*$/,
  })
})

test('planPipeline leaves to the file what the file says', () => {
  const { children } = plan(
    'tracker:\n  in_hostport: 127.0.0.1:9999\n  metrics-hostport: 127.0.0.1:9998\n  logfile: /var/log/t.log',
  )
  const tracker = children.find(child => child.name === 'tracker')!
  assert.ok(!tracker.args.includes('--metrics-hostport') && !tracker.args.includes('--logfile'))
  assert.equal(tracker.health, '127.0.0.1:9998')
  assert.equal(tracker.logFile, '/var/log/t.log')
  assert.equal(tracker.listens[0]?.where, 'http://127.0.0.1:9999')
})

test('planPipeline refuses a file that is no mapping, naming it', () => {
  assert.throws(() => plan('- a\n- b'), { name: SettingsError.name, message: /config\.yaml:1: expected/ })
  assert.throws(() => plan('', { configFile: join(dir, 'absent.yaml') }), {
    name: 'SettingsError',
    message: /absent\.yaml/,
  })
})
