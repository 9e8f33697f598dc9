import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { SettingsError } from '../process/settings.ts'
import { planPipeline, type PlanInput } from './plan.ts'

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
  for (const child of children.slice(1)) assert.equal(child.env['REDIS_URL'], `unix://${socket}`)
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
  assert.equal(key(''), undefined)
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
  assert.throws(() => planPipeline({ ...baseInput(), configFile: join(dir, 'absent.yaml') }), {
    name: 'SettingsError',
    message: /absent\.yaml/,
  })
})

function baseInput(): PlanInput {
  return { root: dir, node: 'node', configFile: '', stateDir: dir, run: [], env: {} }
}
