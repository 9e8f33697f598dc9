import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import pino from 'pino'
import { Health } from '../process/health.ts'
import { StartError } from '../process/start-error.ts'
import { answered, connectRedis, redisReason, RedisTimeout } from './redis.ts'

describe('redisReason', () => {
  it('never tells what was sent', () => {
    const reply = "ERR unknown command 'EVAL', with args beginning with: 'local' '{\"recipient\":\"x@example.com\"}' "
    assert.equal(redisReason(new Error(reply)), "ERR unknown command 'EVAL'")
    assert.equal(redisReason(new Error('one\ntwo')), 'one')
    const inScript = `OOM command not allowed when used memory > 'maxmemory'. script: ${'0'.repeat(40)}, on @user_script:1.`
    assert.equal(redisReason(new Error(inScript)), "OOM command not allowed when used memory > 'maxmemory'.")
    assert.equal(redisReason(Object.assign(new Error('connect …'), { code: 'ECONNREFUSED' })), 'ECONNREFUSED')
    assert.equal(redisReason(new Error('OOM command not allowed')), 'OOM command not allowed')
    assert.equal(redisReason(new Error('x'.repeat(1_000))).length, 120)
  })
})

describe('answered', () => {
  it('gives the answer or the error, and rejects when neither comes', async () => {
    assert.equal(await answered(Promise.resolve(1), 1_000), 1)
    await assert.rejects(answered(Promise.reject(new Error('no')), 1_000), /^Error: no$/)
    await assert.rejects(answered(new Promise(() => undefined), 1), RedisTimeout)
  })
})

describe('connectRedis', () => {
  it('refuses an address that it can not read in its own words, without any part of it', () => {
    const hooks = { log: pino({ level: 'silent' }), health: new Health() }
    for (const part of ['redis://:secret%zz@127.0.0.1:1', 'redis://sec%ret@127.0.0.1:1', 'unix:///secret%', 'secret']) {
      assert.throws(
        () => connectRedis(part, 'store', hooks),
        error => error instanceof StartError && /--redis-url/.test(error.message) && !error.message.includes('sec'),
      )
    }
  })
})
