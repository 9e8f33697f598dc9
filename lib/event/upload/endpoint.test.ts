import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Credential } from './credential.ts'
import { endpoint } from './endpoint.ts'

test('endpoint takes URLs and bare host names, which mean https', () => {
  assert.equal(endpoint.read('api.sparkpost.com'), 'https://api.sparkpost.com')
  assert.equal(endpoint.read('api.eu.sparkpost.com:8443/'), 'https://api.eu.sparkpost.com:8443')
  assert.equal(endpoint.read('https://example.com/hook?x=1'), 'https://example.com/hook?x=1')
})

test('endpoint takes http for this machine only', () => {
  for (const local of ['http://127.0.0.1:8025', 'http://localhost:8025', 'http://[::1]:8025', 'http://127.9.9.9']) {
    assert.equal(endpoint.read(local), local)
  }
  for (const far of ['http://api.sparkpost.com', 'http://127.0.0.1.example.com', 'http://10.0.0.1', 'http://[::2]']) {
    assert.throws(() => endpoint.read(far), /expected https/)
  }
})

test('endpoint refuses what is no address to post to, without repeating it', () => {
  for (const bad of [
    'ftp://example.com',
    'https://',
    'https://user:secret@example.com',
    'a b',
    'https://example.com/#x',
  ]) {
    assert.throws(
      () => endpoint.read(bad),
      error => error instanceof Error && !error.message.includes('secret'),
    )
  }
})

test('Credential reads a bare key, an environment file, and the variable', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'credential-')), 'key')
  writeFileSync(file, 'abc\n')
  const credential = new Credential(file, 'NAME', 'from-variable')
  assert.equal(credential.value, 'abc')
  assert.equal(await credential.reload(), false)
  writeFileSync(file, '# comment\nOTHER=x\nexport NAME="def"\n')
  assert.equal(await credential.reload(), true)
  assert.equal(credential.value, 'def')
  writeFileSync(file, '')
  assert.equal(await credential.reload(), false, 'a file being written anew does not cost the key')
  assert.equal(credential.value, 'def')
  assert.equal(new Credential(undefined, 'NAME', ' ghi ').value, 'ghi')
})

test('Credential says what is missing, and never the key', () => {
  assert.throws(() => new Credential(undefined, 'NAME', undefined), /set NAME or --api-key-file/)
  assert.throws(() => new Credential('/nonexistent', 'NAME', undefined), /nonexistent.*ENOENT/)
  assert.throws(
    () => new Credential(undefined, 'NAME', 'two\nlines'),
    error => error instanceof Error && !error.message.includes('lines\n'),
  )
})
