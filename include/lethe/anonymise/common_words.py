"""Names that are also words. In lower case within a sentence they are taken for the word; our own list."""

from __future__ import annotations

# Given names and surnames that Norwegian or English text uses as ordinary words.
_AMBIGUOUS = """
alm andre ane april are art ask august bank bekk bekken ben berg berge best bill bjerk bjørk bjørn black blom bo bonde
borg brekke brent brown brun bråten bu bull by bye bø bør can chase christian cook dag dagen dahl dal dalen dang day
dean deg din do due eg eide eik eli elle else elv elven emil en eng engen enger er erle even falk fall far field fin
fjell flo ford foss fossen fox frank fred frem fri frid frisk frost frøy gang gard gjerde god gran grande grav green
grei gren greve grip gro grove gry gull gunn gård gården gås ha hage hagen hai hall halle ham hammer han hans hare
haug haugen hauk hav haven hei heia hel helge helle her hill hjort ho hol hold holm holmen holt hope horn hun hung
hunt hus huse hval hvit høst høy ida in ine is iver jack jan jo joy juni kai kaia kant king kirke klar klev klok konge
kors kost kram kran krog krok kvale kvist la lag lage laks lam land lande lang lange langen le lett li lid lie lien
lille lin lind linde line linn liten liv lo long lund lunde lunden lykke lyng lys løken løv ma mai man mann mark
marken mars max may mester min mo moe moen moss mot my myr myra myren mæl mørk ne nes neset ness ni noor nor nord ny
nygård næss odd odden one ove over page park per perle plass pål ran rand ravn regn rein rev rich rik ring ris ro rod
roe roen rose rot roy rud rune rust rut rygg rød rør sag sand sande sang se sen siden sig signe silke sin siv sjø
sjøen skar skarp skau ski skog skogen sky slette sletten small smed smith smitt smørgrav snø so sol sole solvang son
song stad stamme stang stein sten sterk sti stig stokke stor store storm strand stranda strande stranden strøm
strømmen stø støen sun sund sunde svane svart svein sven sør ta tang tangen teig teigen tid tier ting to tom tone tor
torp torv tove tran tro true tu tun tveit tåge ulv une ung unge unn van vang vann var varde vei ven vest vi vik vika
vike viken vild vilja vilje vind vinter vold voll vollen våg vår way west white wik will wood young å ås åse åsen øde
ørn øst øy øya øye øyen
"""
_PARTICLES = "af al av bin da das de del della den der di dos du el la le of og ten ter van von y zu"

AMBIGUOUS = frozenset(_AMBIGUOUS.split())
PARTICLES = frozenset(_PARTICLES.split())  # stand between the parts of a name, and mean it only there
