/** `linktool decode`: reads a link, of ours or of the 2020 project. */
import { LinkKeys } from '../link/keys.ts'
import { flag, option, type OptionTable } from '../process/option.ts'
import { type RunnableProgram } from '../process/run.ts'
import { StartError } from '../process/start-error.ts'
import { finished } from './finished.ts'
import { type InspectedLink, inspectLink } from './inspect-link.ts'
import { fields, print } from './print.ts'

const options = {
  json: option(flag, { help: 'Print JSON instead of lines.', default: 'false' }),
} satisfies OptionTable

const signatures: Readonly<Record<InspectedLink['signature'], string>> = {
  valid: 'valid',
  revoked: 'valid, but its key is revoked: answered with 410 Gone',
  forged: 'NOT VALID: made with another key, or changed; not followed',
  'unknown-key': 'NOT VALID: its key is not in the key file; not followed',
  malformed: 'valid, but it leads nowhere that is redirected to',
  unchecked: 'not checked: give --link-keys',
  none: 'none: anybody can make such a link; followed only as --legacy-links of the tracker allows',
}

export const decodeProgram: RunnableProgram<typeof options> = {
  name: 'linktool',
  manual: `
Reads a tracking link, or the token in it, and prints what it says: links of this product, and those of the 2020
project (sparkypmtatracking). With --link-keys its signature is checked.

Exit code 0, or 1 when it is no link that can be read or one that the tracker would not follow.
`,
  options,
  operands: '<url>',
  start: async ({ settings, operands: [url = ''] }) => {
    let keys
    try {
      keys = settings.linkKeys === undefined ? undefined : LinkKeys.load(settings.linkKeys)
    } catch (error) {
      throw new StartError((error as Error).message)
    }
    const link = inspectLink(url, keys)
    if (link === undefined) throw new StartError(`this is no link that can be read: ${JSON.stringify(shortened(url))}`)
    await print(settings.json ? JSON.stringify(asJson(link)) : describe(link))
    if (!['valid', 'unchecked', 'none'].includes(link.signature) || link.action === undefined) process.exitCode = 1
    return finished()
  },
}

function asJson({ keyId, keyState, messageId, linkName, ...link }: InspectedLink): unknown {
  return {
    ...link,
    ...(keyId !== undefined && { key_id: keyId }),
    ...(keyState !== undefined && { key_state: keyState }),
    ...(messageId !== undefined && { message_id: messageId }),
    ...(linkName !== undefined && { link_name: linkName }),
  }
}

function describe(link: InspectedLink): string {
  return fields({
    format: link.format,
    signature: signatures[link.signature],
    key: link.keyId && (link.keyState ? `${link.keyId} (${link.keyState})` : link.keyId),
    action: link.action ?? 'can not be read: the link was cut or changed',
    'message id': link.messageId,
    stamped: link.stamped,
    'link name': link.linkName,
    recipient: link.recipient,
    URL: link.url,
  })
}

function shortened(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}
