import assert from 'node:assert/strict'
import { chmodSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { linktool, temporaryFolder } from './linktool.ts'

const dir = temporaryFolder()
const trackingUrl = 'https://track.example.com'

async function newKey(file: string): Promise<string> {
  const { code, stdout } = await linktool(['keys', 'new', '--link-keys', file])
  assert.equal(code, 0)
  return /^key (\w\w) signs/.exec(stdout)![1]!
}

async function newLink(file: string): Promise<string> {
  const words = ['--action', 'click', '--target-link-url', 'https://example.com/', '--tracking-url', trackingUrl]
  const { code, stdout } = await linktool(['encode', ...words, '--link-keys', file])
  assert.equal(code, 0)
  return stdout.trim()
}

async function verdict(link: string, file: string): Promise<{ code: number | null; signature: string }> {
  const { code, stdout } = await linktool(['decode', link, '--link-keys', file, '--json'])
  return { code, signature: (JSON.parse(stdout) as { signature: string }).signature }
}

test('keys: links live through rotation and retirement, and end with a revocation', async () => {
  const file = join(dir, 'keys')
  const first = await newKey(file)
  assert.equal(statSync(file).mode & 0o777, 0o640)
  const oldLink = await newLink(file)
  assert.deepEqual(await verdict(oldLink, file), { code: 0, signature: 'valid' })

  const second = await newKey(file)
  const newerLink = await newLink(file)
  assert.deepEqual(await verdict(oldLink, file), { code: 0, signature: 'valid' })

  assert.equal((await linktool(['keys', 'retire', first, '--link-keys', file])).code, 0)
  assert.deepEqual(await verdict(oldLink, file), { code: 0, signature: 'valid' })

  const revoked = await linktool(['keys', 'revoke', first, '--link-keys', file])
  assert.match(revoked.stdout, /410 Gone/)
  assert.deepEqual(await verdict(oldLink, file), { code: 1, signature: 'revoked' })
  assert.deepEqual(await verdict(newerLink, file), { code: 0, signature: 'valid' })

  const refused = await linktool(['keys', 'revoke', second, '--link-keys', file])
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, new RegExp(`^linktool: link keys .*: key ${second} signs: make its successor first`))

  const list = await linktool(['keys', 'list'], '', { LINK_KEYS_FILE: file })
  assert.match(list.stdout, new RegExp(`^${first} +revoked `, 'm'))
  assert.match(list.stdout, new RegExp(`^${second} +signing `, 'm'))
  const json = await linktool(['keys', 'list', '--json', '--link-keys', file])
  assert.deepEqual(
    (JSON.parse(json.stdout) as { id: string; state: string }[]).map(({ id, state }) => `${id} ${state}`),
    [`${first} revoked`, `${second} signing`],
  )
  for (const secret of readFileSync(file, 'utf8').match(/\S{44}$/gm) ?? assert.fail('no secrets'))
    for (const { stdout, stderr } of [list, json, revoked, refused]) assert.ok(!(stdout + stderr).includes(secret))
})

test('keys: new keys made by several processes at once are all there, the last one signs', async () => {
  const file = join(dir, 'at-once')
  const ids = await Promise.all(Array.from({ length: 4 }, () => newKey(file)))
  const { stdout } = await linktool(['keys', 'list', '--json', '--link-keys', file])
  const keys = JSON.parse(stdout) as { id: string; state: string }[]
  assert.deepEqual(keys.map(({ id }) => id).toSorted(), ids.toSorted())
  assert.deepEqual(
    keys.map(({ state }) => state),
    ['verifying', 'verifying', 'verifying', 'signing'],
  )
})

test('keys: a file that all may read, a missing one and a damaged one are refused in one line', async () => {
  const file = join(dir, 'open')
  await newKey(file)
  chmodSync(file, 0o644)
  const open = await linktool(['keys', 'new', '--link-keys', file])
  assert.deepEqual([open.code, open.stdout], [1, ''])
  assert.match(
    open.stderr,
    /^linktool: link keys .*open: is open to every user of this machine \(mode 644\): chmod 640\n$/,
  )
  const missing = await linktool(['keys', 'list', '--link-keys', join(dir, 'missing')])
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /not there: make it with/)
  const nowhere = await linktool(['keys', 'new', '--link-keys', join(dir, 'no', 'folder')])
  assert.equal(nowhere.code, 1)
  assert.match(nowhere.stderr, /can't be written \(ENOENT\)/)
})

const wrong: readonly (readonly [args: readonly string[], message: RegExp])[] = [
  [['keys', 'lst', '--link-keys', 'x'], /did you mean list\?/],
  [['keys', '--link-keys', 'x'], /missing required argument 'action'/],
  [['keys', 'retire', '--link-keys', 'x'], /retire needs the id of a key/],
  [['keys', 'new', 'k7', '--link-keys', 'x'], /keys new takes no id/],
  [['keys', 'list'], /--link-keys PATH is required/],
  [['kes', 'list'], /unknown subcommand "kes": did you mean keys\?/],
  [['something'], /unknown subcommand "something": encode, decode, keys, explain, wrap/],
  [[], /expected one of encode, decode, keys, explain, wrap/],
  [['encode', '--acton', 'click'], /--acton.*--action/],
]
for (const [args, message] of wrong) {
  test(`linktool ${args.join(' ')} is refused with exit code 2`, async () => {
    const { code, stdout, stderr } = await linktool(args)
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, message)
    assert.ok(stderr.startsWith('linktool: '))
  })
}

test('linktool --help lists the subcommands, and each has a manual of its own', async () => {
  const { code, stdout } = await linktool(['--help'])
  assert.equal(code, 0)
  const words = ['encode', 'decode', 'keys', 'explain', 'wrap']
  for (const word of words) assert.match(stdout, new RegExp(`^ +${word} +\\S`, 'm'))
  const manuals = await Promise.all(words.map(async word => linktool([word, '--help'])))
  for (const [index, manual] of manuals.entries()) {
    assert.equal(manual.code, 0)
    assert.match(manual.stdout, new RegExp(`^Usage: node cmd/linktool.ts ${words[index]}`))
  }
  assert.match((await linktool(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
})
