/** `linktool keys`: makes, lists, retires and revokes the keys of links. */
import { addKey, type LinkKey, parseKeyFile, readKeyFile, setKeyState, writeKeyFile } from '../link/key-file.ts'
import { withKeyFileLocked } from '../link/key-file-lock.ts'
import { nearWord } from '../process/near-word.ts'
import { flag, option, path, type OptionTable } from '../process/option.ts'
import { type RunnableProgram } from '../process/run.ts'
import { StartError } from '../process/start-error.ts'
import { SettingsError } from '../process/settings.ts'
import { finished } from './finished.ts'
import { print, table } from './print.ts'

const actions = ['new', 'list', 'retire', 'revoke'] as const

const options = {
  'link-keys': option(path, { help: 'The key file.', env: 'LINK_KEYS_FILE', required: true }),
  json: option(flag, { help: 'Print JSON instead of a table.', default: 'false' }),
} satisfies OptionTable

export const keysProgram: RunnableProgram<typeof options> = {
  name: 'linktool',
  manual: `
Makes and changes the keys that sign links. Wrapper and tracker read the same file; send both SIGHUP afterwards.

  keys new        makes a key that signs from now on, and the file when there is none (mode 0640). The key that
                  signed before goes on verifying.
  keys list       shows ids, states and ages, never secrets
  keys retire ID  the key signs no more, its links go on working; also takes back a revocation
  keys revoke ID  links of the key are answered with 410 Gone. For a key that others have seen.

With several machines, take the new file to the trackers first, then to the wrappers: a tracker that does not know
the new key yet can't follow its links.
`,
  options,
  operands: '<action> [id]',
  validate: (_, [action = '', id]) => {
    const known = actions.find(word => word === action)
    if (known === undefined) {
      const near = nearWord(action, actions)
      const hint = near === undefined ? `expected one of ${actions.join(', ')}` : `did you mean ${near}?`
      throw new SettingsError(`keys ${JSON.stringify(action)}: ${hint}`)
    }
    const takesId = known === 'retire' || known === 'revoke'
    if (takesId && id === undefined)
      throw new SettingsError(`keys ${known} needs the id of a key: keys list shows them`)
    if (!takesId && id !== undefined) throw new SettingsError(`keys ${known} takes no id`)
  },
  start: async ({ settings, operands: [action, id = ''] }) => {
    const file = settings.linkKeys
    try {
      if (action === 'new') await makeKey(file)
      else if (action === 'list') await listKeys(file, settings.json)
      else await changeKey(file, id, action === 'revoke' ? 'revoked' : 'verifying')
    } catch (error) {
      throw new StartError(`link keys ${file}: ${reasonOf(error as NodeJS.ErrnoException)}`)
    }
    return finished()
  },
}

async function makeKey(file: string): Promise<void> {
  const { text, id } = await withKeyFileLocked(file, async () => {
    const added = addKey(existing(file), new Date())
    await writeKeyFile(file, added.text)
    return added
  })
  const successor = parseKeyFile(text).length > 1
  await print(`key ${id} signs from now on${successor ? '; the keys before it go on verifying' : ''}: ${file}`)
}

function existing(file: string): string {
  try {
    return readKeyFile(file)
  } catch (error) {
    const { cause } = error as { cause?: NodeJS.ErrnoException }
    if (cause?.code === 'ENOENT') return ''
    throw error
  }
}

async function listKeys(file: string, json: boolean): Promise<void> {
  const keys = parseKeyFile(readKeyFile(file))
  if (json) await print(JSON.stringify(keys.map(({ id, state, created }) => ({ id, state, created }))))
  else await print(table(['ID', 'STATE', 'CREATED', 'LINKS'], keys.map(row)))
}

function row({ id, state, created }: LinkKey): string[] {
  const links = { signing: 'new ones are signed with it', verifying: 'work', revoked: 'answered with 410 Gone' }
  return [id, state, created, links[state]]
}

async function changeKey(file: string, id: string, state: 'verifying' | 'revoked'): Promise<void> {
  const changed = await withKeyFileLocked(file, async () => {
    const before = readKeyFile(file)
    const after = setKeyState(before, id, state)
    if (after !== before) await writeKeyFile(file, after)
    return after !== before
  })
  const links = state === 'verifying' ? 'its links work' : 'its links are answered with 410 Gone'
  await print(`key ${id} is ${state}${changed ? '' : ' already'}: ${links}. Send wrapper and tracker SIGHUP.`)
}

function reasonOf(error: NodeJS.ErrnoException): string {
  return error.code === undefined ? error.message : `can't be written (${error.code}): check the folder and who owns it`
}
