/** The operations of GS CIM 009 V1.9.1 by clause: what the documentation calls a route, and under which heading it stands. */
export const OPERATIONS: Readonly<Record<string, { readonly name: string; readonly heading: string }>> = {
  ...under('Entities', {
    '5.6.1': 'Create Entity',
    '5.6.2': 'Update Attributes',
    '5.6.3': 'Append Attributes',
    '5.6.4': 'Partial Attribute Update',
    '5.6.5': 'Delete Attribute',
    '5.6.6': 'Delete Entity',
    '5.6.17': 'Merge Entity',
    '5.6.18': 'Replace Entity',
    '5.6.19': 'Replace Attribute',
    '5.6.21': 'Purge Entities',
    '5.7.1': 'Retrieve Entity',
    '5.7.2': 'Query Entities',
  }),
  ...under('Batches', {
    '5.6.7': 'Batch Entity Create',
    '5.6.8': 'Batch Entity Create or Update (Upsert)',
    '5.6.9': 'Batch Entity Update',
    '5.6.10': 'Batch Entity Delete',
    '5.6.20': 'Batch Entity Merge',
  }),
  ...under('History', {
    '5.6.11': 'Create or Update Temporal Evolution of an Entity',
    '5.6.12': 'Add Attributes to the Temporal Evolution of an Entity',
    '5.6.13': 'Delete Attributes from the Temporal Evolution of an Entity',
    '5.6.14': 'Modify Attribute Instance in the Temporal Evolution of an Entity',
    '5.6.15': 'Delete Attribute Instance from the Temporal Evolution of an Entity',
    '5.6.16': 'Delete Temporal Evolution of an Entity',
    '5.7.3': 'Retrieve Temporal Evolution of an Entity',
    '5.7.4': 'Query Temporal Evolution of Entities',
  }),
  ...under('Discovery', {
    '5.7.5': 'Retrieve Available Entity Types',
    '5.7.6': 'Retrieve Details of Available Entity Types',
    '5.7.7': 'Retrieve Available Entity Type Information',
    '5.7.8': 'Retrieve Available Attributes',
    '5.7.9': 'Retrieve Details of Available Attributes',
    '5.7.10': 'Retrieve Available Attribute Information',
  }),
  ...under('Subscriptions', {
    '5.8.1': 'Create Subscription',
    '5.8.2': 'Update Subscription',
    '5.8.3': 'Retrieve Subscription',
    '5.8.4': 'Query Subscriptions',
    '5.8.5': 'Delete Subscription',
  }),
  ...under('Context sources', {
    '5.9.2': 'Register Context Source',
    '5.9.3': 'Update Context Source Registration',
    '5.9.4': 'Delete Context Source Registration',
    '5.10.1': 'Retrieve Context Source Registration',
    '5.10.2': 'Query Context Source Registrations',
    '5.11.2': 'Create Context Source Registration Subscription',
    '5.11.3': 'Update Context Source Registration Subscription',
    '5.11.4': 'Retrieve Context Source Registration Subscription',
    '5.11.5': 'Query Context Source Registration Subscriptions',
    '5.11.6': 'Delete Context Source Registration Subscription',
    '5.15.1': 'Retrieve Context Source Identity Information',
  }),
  ...under('@contexts', {
    '5.13.2': 'Add @context',
    '5.13.3': 'List @contexts',
    '5.13.4': 'Serve @context',
    '5.13.5': 'Delete and Reload @context',
  }),
};

function under(heading: string, names: Readonly<Record<string, string>>) {
  return Object.fromEntries(Object.entries(names).map(([clause, name]) => [clause, { name, heading }]));
}
