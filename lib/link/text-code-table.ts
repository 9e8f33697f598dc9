/**
 * The symbols of `text-code.ts` and the lengths of their bits. FROZEN: links in mails are written with it and are read
 * for years. Whoever wants another table adds a version of the token (`token.ts`) and keeps this one.
 *
 * The lengths are those of a Huffman code of at most 13 bits over what URLs in mails are made of: schemes, endings of
 * hosts, campaign parameters, syllables. Every visible ASCII character has one, also where no sample had it.
 */

/** What a symbol does that stands for no text of its own. */
export type Operation = 'end' | 'units' | 'percent' | 'percent-lower' | 'hex' | 'word' | 'copy'

/** Symbols of one length; their order, texts first, is the order of their codes. */
export interface SymbolRow {
  readonly bits: number
  /** Separated by spaces. */
  readonly texts: string
  readonly operations: readonly Operation[]
}

/** Longest code. */
export const codeBitsMax = 13

export const symbolRows: readonly SymbolRow[] = [
  { bits: 5, texts: '- . / a i s', operations: [] },
  { bits: 6, texts: '& = b c d e f g k l m o p r t u w https://', operations: ['hex'] },
  {
    bits: 7,
    texts: '0 1 2 4 6 ? _ h n v y .com/ ?utm_source= &utm_medium=email &utm_campaign= er en in ed re or e-',
    operations: ['word', 'copy'],
  },
  {
    bits: 8,
    texts:
      '+ 3 5 7 8 9 q x https://www. http://www. http:// .com &utm_content= email click %20 202 te ce ca le io st de se es lo at to an ar it t- ch th al nd ly oo ex s- ent ter app ing',
    operations: [],
  },
  {
    bits: 9,
    texts:
      'j z .html &utm_source= &utm_term= unsubscribe /products/ /collections/ /p/ shop id= %3D mail ut co om me on ou ur li ne id ic et ve rm us be ll un po ad n- go sh our con ate age lin ver tion info mple',
    operations: ['percent'],
  },
  {
    bits: 10,
    texts:
      '# .org/ .net/ .io/ .pdf index. &utm_medium= &utm_id= utm_ newsletter /blog/ /en/ support help track store user _id= %2F %40 https%3A%2F%2F /20 =true en_US /wp-content/uploads/ com ect pro tra ack http news blog',
    operations: [],
  },
  {
    bits: 11,
    texts:
      '! % ( ) * , : ; @ A B C D E F G H I J K L M N O P Q R S T U V W X Y Z ~ .co.uk/ .fr/ .php ?utm_medium=email ?utm_campaign= product contact view ?u= &e= url= redirect code= %2B google.com/ en-US',
    operations: ['end', 'units', 'percent-lower'],
  },
  { bits: 12, texts: '$ { } account mc_cid= mc_eid= %252F youtube.com/ list-manage.com/', operations: [] },
  { bits: 13, texts: '" \' < > [ \\ ] ^ ` |', operations: [] },
]
