import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readNamedFile } from './named-file.ts'

const dir = mkdtempSync(join(tmpdir(), 'mta-named-file-'))
after(() => rmSync(dir, { recursive: true, force: true }))
const pipe = join(dir, 'pipe')
execFileSync('mkfifo', [pipe])
const file = join(dir, 'file')
writeFileSync(file, 'what it holds')

test('readNamedFile reads a file, also as standard input, and refuses at once what is none', () => {
  assert.equal(readNamedFile(file).toString(), 'what it holds')
  assert.equal(
    execFileSync(
      'sh',
      [
        '-c',
        `"$0" -e "import('./lib/process/named-file.ts').then(m => process.stdout.write(m.readNamedFile('/dev/stdin')))" < "$1"`,
        process.execPath,
        file,
      ],
      { encoding: 'utf8', cwd: new URL('../..', import.meta.url) },
    ),
    'what it holds',
  )
  for (const other of [pipe, dir, '/dev/zero']) {
    assert.throws(() => readNamedFile(other), { code: 'not a regular file' }, other)
  }
  assert.throws(() => readNamedFile(join(dir, 'absent')), { code: 'ENOENT' })
})

const keys = join(dir, 'keys')
const cwd = new URL('../..', import.meta.url)
execFileSync(process.execPath, ['cmd/linktool.ts', 'keys', 'new', `--link-keys=${keys}`], { cwd })
const tracker = [
  'cmd/tracker.ts',
  `--link-keys=${keys}`,
  '--tracking-url=http://127.0.0.1',
  '--in-hostport=127.0.0.1:0',
  '--redis-url=redis://127.0.0.1:1',
  `--spill-dir=${join(dir, 'spill')}`,
]
const feeder = ['cmd/feeder.ts', `--dead-letter-dir=${join(dir, 'dead')}`, '--redis-url=redis://127.0.0.1:1']

for (const [name, args] of Object.entries({
  'geoip-db': [...tracker, `--geoip-db=${pipe}`],
  'apple-relays': [...tracker, `--apple-relays=${pipe}`],
  'api-key-file': [...feeder, `--api-key-file=${pipe}`],
  replay: [...feeder, '--endpoint=http://127.0.0.1:1', `--replay=${pipe}`],
  certfile: [
    'cmd/wrapper.ts',
    '--check',
    '--out-hostport=localhost:1',
    '--no-track-open',
    '--no-track-click',
    `--certfile=${pipe}`,
    `--privkeyfile=${pipe}`,
  ],
})) {
  test(`a pipe given as --${name} is refused at the start, by its name`, () => {
    const env = { ...process.env, SPARKPOST_API_KEY_INGEST: 'key' }
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd,
      env,
      encoding: 'utf8',
      timeout: 20_000,
      killSignal: 'SIGKILL',
    })
    assert.ok(status === 1 || status === 2, `${status} ${stdout} ${stderr}`)
    assert.match(stdout + stderr, new RegExp(`--${name}\\b.*not a regular file`))
  })
}

test('so is one given as --config', () => {
  const { stderr } = spawnSync(process.execPath, ['cmd/tracker.ts', '--check', `--config=${pipe}`], {
    cwd,
    encoding: 'utf8',
    timeout: 20_000,
    killSignal: 'SIGKILL',
  })
  assert.match(stderr, /--config: .*pipe can't be read \(not a regular file\)/)
})
