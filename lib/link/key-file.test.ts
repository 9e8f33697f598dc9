import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileSystem } from '../durable/file-system.ts'
import { addKey, keyFileBytesMax, parseKeyFile, readKeyFile, setKeyState, writeKeyFile } from './key-file.ts'
import { LinkKeys } from './keys.ts'

const dir = mkdtempSync(join(tmpdir(), 'key-file-'))
after(() => rmSync(dir, { recursive: true }))

const secret = (byte: number) => Buffer.alloc(32, byte).toString('base64')
const line = (id: string, state: string, byte = 1) => `${id} ${state} 2026-01-01T00:00:00Z ${secret(byte)}\n`
let files = 0
function fileOf(text: string, mode = 0o640): string {
  const file = join(dir, `keys-${files++}`)
  writeFileSync(file, text)
  chmodSync(file, mode)
  return file
}
const states = (text: string) => parseKeyFile(text).map(({ id, state }) => `${id} ${state}`)

test('LinkKeys.load reads keys, comments, empty lines and either line end', () => {
  const text = `# ours\n\n${line('k6', 'verifying', 2)}  ${line('k7', 'signing').replace('\n', '\r\n')}${line('k5', 'revoked', 3)}`
  const keys = LinkKeys.load(fileOf(text))
  assert.equal(keys.signing.id, 'k7')
  assert.equal(keys.find('k5')?.state, 'revoked')
  assert.equal(keys.find('zz'), undefined)
  assert.deepEqual(keys.signing.secret.export(), Buffer.alloc(32, 1))
})

const flaws: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  ['is empty', '', /no key signs.*linktool keys new/],
  ['has no signing key', line('k6', 'verifying'), /no key signs/],
  ['has two signing keys', line('k6', 'signing') + line('k7', 'signing'), /k6 and k7 both sign/],
  ['has an id twice', line('k7', 'signing') + line('k7', 'revoked'), /line 2: key k7 is there twice/],
  [
    'has a state that there is not',
    line('k7', 'active'),
    /line 1: state of key k7: expected signing, verifying or revoked/,
  ],
  [
    'has a short secret',
    `k7 signing 2026-01-01 ${Buffer.alloc(31).toString('base64')}`,
    /line 1: expected .* 32 secret bytes/,
  ],
  ['has a secret that is not base64', `k7 signing 2026-01-01 ${'?'.repeat(44)}`, /line 1: expected/],
  ['has a long id', line('k77', 'signing'), /line 1: expected/],
  ['has a line of something else', `${line('k7', 'signing')}hello`, /line 2: expected/],
  ['is too large', `#${'x'.repeat(keyFileBytesMax)}`, /at most 65536/],
]
for (const [what, text, message] of flaws) {
  test(`LinkKeys.load refuses a file that ${what}, names it and tells no secret`, () => {
    const file = fileOf(text)
    assert.throws(
      () => LinkKeys.load(file),
      (error: Error) => {
        assert.match(error.message, message)
        assert.ok(error.message.startsWith(`link keys ${file}: `))
        assert.ok(!error.message.includes(secret(1)))
        return true
      },
    )
  })
}

test('LinkKeys.load says how to make a file that is not there, and what is wrong with one that all may read', () => {
  assert.throws(() => LinkKeys.load(join(dir, 'missing')), /not there: make it with .*linktool.ts keys new --link-keys/)
  assert.throws(() => LinkKeys.load(dir), /not a regular file/)
  for (const mode of [0o644, 0o641, 0o666])
    assert.throws(() => LinkKeys.load(fileOf(line('k7', 'signing'), mode)), /open to every user.*chmod 640/)
  for (const mode of [0o600, 0o640, 0o440]) assert.ok(LinkKeys.load(fileOf(line('k7', 'signing'), mode)))
})

test('addKey makes a first key, and later ones that take over', () => {
  const first = addKey('', new Date(0))
  assert.deepEqual(states(first.text), [`${first.id} signing`])
  assert.match(first.text, /^# Keys of the tracking links/)
  const second = addKey(first.text, new Date(0))
  assert.deepEqual(states(second.text), [`${first.id} verifying`, `${second.id} signing`])
  assert.match(second.text, / 1970-01-01T00:00:00Z /)
})

test('addKey never gives an id twice, and keeps every other line as it is', () => {
  let text = '# mine\n'
  for (let count = 0; count < 300; count++) ({ text } = addKey(text, new Date()))
  assert.equal(new Set(parseKeyFile(text).map(({ id }) => id)).size, 300)
  const before = `# k6 is old\nk6\tverifying  2026-01-01T00:00:00Z ${secret(2)}\n# k7 signing\n${line('k7', 'signing').trimEnd()}`
  const after = addKey(before, new Date()).text
  assert.ok(after.startsWith(before.replace(/k7 signing (?=2026)/, 'k7 verifying ')))
})

test('addKey says so when the file is full', () => {
  const full = `${line('k7', 'signing')}#${'x'.repeat(keyFileBytesMax - 120)}\n`
  assert.throws(() => addKey(full, new Date()), /the file is full/)
})

test('setKeyState revokes and brings back, and refuses what would leave no key that signs', () => {
  const text = line('k6', 'verifying', 2) + line('k7', 'signing')
  const revoked = setKeyState(text, 'k6', 'revoked')
  assert.deepEqual(states(revoked), ['k6 revoked', 'k7 signing'])
  assert.equal(setKeyState(revoked, 'k6', 'verifying'), text)
  assert.throws(() => setKeyState(text, 'k7', 'revoked'), /k7 signs: make its successor first/)
  assert.throws(() => setKeyState(text, 'k8', 'revoked'), /no key "k8": there are k6, k7/)
  assert.throws(() => setKeyState('', 'k8', 'revoked'), /there are none/)
})

test('readKeyFile refuses a pipe at once, instead of waiting for somebody to write to it', () => {
  const pipe = join(dir, 'pipe')
  execFileSync('mkfifo', ['-m', '640', pipe])
  assert.throws(() => readKeyFile(pipe), /not a regular file/)
})

test('writeKeyFile makes a file of mode 0640, keeps the mode of one that is there, and follows a link', async () => {
  const file = join(dir, 'made')
  await writeKeyFile(file, line('k7', 'signing'))
  assert.equal(statSync(file).mode & 0o777, 0o640)
  chmodSync(file, 0o400)
  const linked = join(dir, 'linked')
  symlinkSync(file, linked)
  await writeKeyFile(linked, line('k8', 'signing'))
  assert.equal(statSync(file).mode & 0o777, 0o400)
  assert.equal(readKeyFile(file), line('k8', 'signing'))
})

test('writeKeyFile leaves the old file and nothing else when the disk is full', async () => {
  const folder = mkdtempSync(join(dir, 'full-'))
  const file = join(folder, 'keys')
  await writeKeyFile(file, line('k7', 'signing'))
  const full = {
    ...fileSystem,
    open: async (path: string, how: 'create' | 'update' | 'read') => ({
      ...(await fileSystem.open(path, how)),
      write: async () => {
        throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      },
    }),
  }
  await assert.rejects(writeKeyFile(file, line('k8', 'signing'), full), { code: 'ENOSPC' })
  assert.deepEqual(readdirSync(folder), ['keys'])
  assert.equal(readFileSync(file, 'utf8'), line('k7', 'signing'))
})
