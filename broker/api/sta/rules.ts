/** The business logic of STAplus (22-022r1, conformance class business-logic) in words; what carries it out is operations/sta/ownership.ts. */
export const RULES = `Who may change what in this service

Everybody may read. Who writes must show who they are; otherwise the answer is 401.

A Party is who somebody is here. Its authId is worked out from the credentials, so that it tells no name; another authId is refused (400 when
the Party is made, 403 when it is changed). There is one Party for each user: making it again answers with the one that is there. An inline Party
means the caller's own. Only administrators delete Parties, and only those that nothing belongs to.

Things, Datastreams, MultiDatastreams, Campaigns and ObservationGroups belong to a Party: the link Party is needed, must be the caller's own, and
cannot be changed or taken away. At the service root without Parties they belong to the caller without being told.

Only the Party to whom it belongs changes or deletes something (403). Observations and features of interest belong to the Party of their
Datastream, Relations to that of their Subject, Locations and HistoricalLocations to that of the Thing. So one Party can own a Thing, and others the
Datastreams on it: each writes its own part, and only the owner of the Thing says where it is. Sensors and ObservedProperties belong to all whose
Datastreams use them; as long as nobody does, any user may change them. What belongs to no Party is changed by administrators.

Only the owner of a Campaign or ObservationGroup adds members to it or takes them out. Once its endTime has passed nobody but administrators does.

A License once linked holds from the first Observation of a Datastream, the first member of a group, or the first Datastream of a Campaign on (409).
Licenses that are there are changed and deleted by administrators only; a License in use is not deleted.

Administrators may do everything.
`;
