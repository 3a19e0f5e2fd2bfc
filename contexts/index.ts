import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** The newest core @context that this broker knows (GS CIM 009 V1.9.1, Annex B). */
export const NEWEST_CORE = 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld';

/** URL to file to SHA-256 of the pinned copies, byte for byte as published, so that starting and the common models need no network. */
export const BUNDLED: Readonly<Record<string, { readonly file: string; readonly sha256: string }>> = {
  ...core('v1.0', 'd751b5db4509071dc11b26342cfa36c05d18f85ea15554a4bac71a0705697905'),
  ...core('v1.3', '909233bdc9b8ca3f1a23e6537bb267dc10cb6b24037b9b91a6a2706f3dd346e1'),
  ...core('v1.4', 'f1d0f25283a2064a6efabe1241dddf1487559b3a6785a6ac03c80af15c175c00'),
  ...core('v1.5', '6d568d8fc2ed809429e1836af84a38ab516a0900829210692b8e613916f8e63d'),
  ...core('v1.6', '39220ec48e697259b2e454255241714751176f829f6adfc45897edbfcc1feb35'),
  ...core('v1.7', 'cceb0812f8dfa6d31a4a249d0fb534354cf6f2a16aa6a54da0f9a7869fca75c3'),
  ...core('v1.8', '921791ba0339a565d3ecb54f61c2afaaa58e5ae2b0d149326508526c2472c31b'),
  ...core('v1.9', 'cd542b1d81fad84cf030b6ed020e2110d6b4177da05b2b33fab90983479b7bfa'),
  // Without a version: what ETSI publishes there is the newest.
  'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld': {
    file: 'core/ngsi-ld-core-context-v1.9.jsonld',
    sha256: 'cd542b1d81fad84cf030b6ed020e2110d6b4177da05b2b33fab90983479b7bfa',
  },
  // Core 1.9 names it, so nothing could be expanded offline without it.
  'https://w3id.org/security/data-integrity/v2': {
    file: 'w3c/data-integrity-v2.jsonld',
    sha256: '67f21e6e33a6c14e5ccfd2fc7865f7474fb71a04af7e94136cb399dfac8ae8f4',
  },
  ...smartDataModels('Alert', '762c45a3eb79bd434aab46483dcf85e0ed5230a90635583f143e02a001bcc4e1'),
  ...smartDataModels('Building', 'ce3d84c0d63baaaa1732b4711b132d57c570818d22231bce15babaec71b641d0'),
  ...smartDataModels('Device', '103b0ea956af1ef1f219ccdfa5bf57dc129955e3088dda521927719c9aed21df'),
  ...smartDataModels('Energy', 'cb7d6c64c630f67d72badb9ca3c6f185a9bb0f7f239897625e714cd3cdb94a86'),
  ...smartDataModels('Environment', '106d9904d83cbaf95e184a1624b3d126c19e23d69545e237409cf6de80bfbd8e'),
  ...smartDataModels('KeyPerformanceIndicator', '96c77cf78701e40a19118b870f4685b827c90658883189e20099843abc77a0f5'),
  ...smartDataModels('Parking', 'd8ac9b0277865366f2dc755097033edd28d313f80dcd7bb27d99b38cb7baa1ee'),
  ...smartDataModels('ParksAndGardens', '829a4203dc996e0e2ad11dfdd600cbd8fb212ae26c2b4bc581f15a91e5c37d76'),
  ...smartDataModels('PointOfInterest', '3ea08cfa6ffea1895a99420f64f78637d8ee2ebad442a542805fdaf4c903ad7a'),
  ...smartDataModels('Streetlighting', 'd692af0d46f7ed056cc2d6b916646c72621e4dd882266ebe21c058e9f120ad84'),
  ...smartDataModels('TourismDestinations', '9db9687b71cc12addc386a73cbc271d1fc4ff12497569735ea7a0330b8d06d10'),
  ...smartDataModels('Transportation', '1ce89f626560384a8a274f9a06102d6e8409ac97259254cf8b18d37a299513fa'),
  ...smartDataModels('UrbanMobility', '3c43c4a760961041768ff92c6474fba3b360ada558ddc5683e83cb3ff94ec2e7'),
  ...smartDataModels('WasteManagement', 'f977bb10b4e22c8831896144628d553b0e2cf727ebc0d93370d45e0775b5b19a'),
  ...smartDataModels('WaterQuality', '456ba739028f3df35535e0b45b37ade174709fac233d9fa1c29c1cd2f62dd105'),
  ...smartDataModels('Weather', 'ee62450436d3ce6510c618a70ea17fee707683f37ee35cb0b8573238d0cedbf7'),
};

function core(version: string, sha256: string) {
  const name = `ngsi-ld-core-context-${version}.jsonld`;
  return { [`https://uri.etsi.org/ngsi-ld/v1/${name}`]: { file: `core/${name}`, sha256 } };
}

/** Contexts of the Smart Data Models initiative (CC BY 4.0), at both addresses under which its examples name them. */
function smartDataModels(subject: string, sha256: string) {
  const pinned = { file: `smart-data-models/${subject}.jsonld`, sha256 };
  return {
    [`https://raw.githubusercontent.com/smart-data-models/dataModel.${subject}/master/context.jsonld`]: pinned,
    [`https://smart-data-models.github.io/dataModel.${subject}/context.jsonld`]: pinned,
  };
}

/**
 * The pinned copy of the document at this URL; the scheme http counts as https.
 * @returns undefined if it is not bundled
 * @throws Error if the file is not what was pinned
 */
export async function bundledContext(url: string): Promise<string | undefined> {
  const pinned = BUNDLED[url.startsWith('http://') ? `https://${url.slice(7)}` : url];
  if (pinned === undefined) return undefined;
  const bytes = await readFile(new URL(pinned.file, import.meta.url));
  if (createHash('sha256').update(bytes).digest('hex') !== pinned.sha256) {
    throw new Error(`contexts/${pinned.file} is not the pinned copy of ${url}`);
  }
  return bytes.toString('utf8');
}

/** What the `jsonld` package finds in a core context, as a table (`npm run contexts` writes it): term to IRI and how it is used, "p" as a prefix, "c" with coerced values. */
export interface PreparedTerms {
  readonly vocabulary: string;
  readonly terms: Readonly<Record<string, readonly [iri: string, how: string]>>;
}

/** Where the table of a pinned core context lies, beside this file; undefined if the document is no core context. */
export function preparedFile(url: string): string | undefined {
  const file = BUNDLED[url]?.file;
  return file?.startsWith('core/')
    ? file.replace(/^core\/ngsi-ld-core-context-(.*)\.jsonld$/, 'core-terms/$1.json')
    : undefined;
}

/** The table of a core context. @returns undefined if there is none */
export async function preparedTerms(url: string): Promise<PreparedTerms | undefined> {
  const file = preparedFile(url);
  return file === undefined ? undefined : (JSON.parse(await readFile(new URL(file, import.meta.url), 'utf8')) as PreparedTerms);
}
