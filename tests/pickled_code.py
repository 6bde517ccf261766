"""Functions and classes that cloudpickle 3.1.3 pickled by value in several Pythons.

Each Python read this program from stdin and printed them:

    import base64, zlib
    import cloudpickle

    class Doubling:
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return [[value * 2 for value in row] for row in X]

    def clip(X):
        return [max(0, min(1, value)) for value in X]

    def scaled(by):
        def scale(X):
            return X * by
        return scale

    def each(X):
        for value in X:
            yield value + 1

    made = {
        "function": clip, "class": Doubling(), "closure": scaled(3), "generator": each,
        "constant": lambda X: 1, "arithmetic": lambda X: X * 2,
    }
    for name, value in made.items():
        print(name, base64.b64encode(zlib.compress(cloudpickle.dumps(value), 9)).decode())
"""

import base64
import zlib

PACKED = {
    ("3.10", "function"): """
    eNplUk1vEzEQtQ1VqrQEiUs59EIPKDmw6g+IcllulvbQcuBSWY69yVrxfhTbQKVGQgpNL74ghv/LeJOiVHgla77emzfj
    /XH0hzPSn3imbBt0Z9TKltmBDXEkarkqxSI0ypu2gd8wrkh8JebBWG8a4e+6EoPxOG91+Sk5D3AFY045wY9yxvN8pKlm
    P8k9+Ug29JpAUQ2eChgf8Ov8fInJm+GaeqKJp5re0w3bsF/slmF54tlCfFHL7+k2DaDHskuIR1+lDWVyR1N918jaqA8K
    dcwgDqfWOK/aupsBP83ZOYHJxKO0+FZZ02VT2ypp3Sw7qHuESaSfcYD/6V4mEPCTnI3onmgN43giRCfVSi5LIaCIx0Ig
    KtnJrCXuZ2cujO2jg6nz2jQzCEVRJBLc5Zt/yxWu9M5LnxZavV+nDtW7fet4KsRtkPaJfx99LYRsmhZBiHeYWKcnE6tv
    ulzIYL3rdSH2mT9Eca0OvabqIg4w3ao+gwPh87vwZTfQmTj4GYQL8x3MwQ2k0qVt57jEvm3YwvbqMvsL5xXY2A==
    """,
    ("3.11", "function"): """
    eNplUs1rE0EUn920pDaxgqIVTwYVEsGlwWuay3pyYQ/Vg5cyTHY32SGzH3Fn1EIDOWhOI7T4Sj16KkL/FsFCD/45vtl1
    Q4qzy8z7vc/fzHuLzbNfNimX3g1EpsKcB1MROWsy6B2asGlExyoNJM9S+AbdmOjbdKS4kDyl8iiPUKm33CyM3hrwBQ6g
    61kewc/ybK/hPjonofWZHJNX5AKrXZJ6vSHgx83a2fZueffc1+dkgq6Hj+eWtFaeJCSysYasY+sCyV/ateYmOrV1B5Mb
    BkvQjYR9MjtPAZHt7IHe/MCEigzcGYRHKUt48CLAGwxBbw8EL2SQJTmCh4HguTMQWcBEMXTWTF7bfb4gv1v96v8RfXVP
    rLOXJ7Pvz073Yf+q3blud1ZmcAn0ehKfZgk9bb3DV/q/8oYpVh9ey32wIH/K6J8z3K5a/WtEG32I71ep5tDVLUpzFkzZ
    JKIUfL1FKaY0shEThh2qxDEXpbY5KGTI0yEo3/dNEuzm3VV7aRHJQjJpWhp356ZC/KTm1aZ0ppio8//T3qGUpWmGQRhf
    oGFuhoZOP4bRmCkhi5IXxt7A20guC1XJKX6qm2jOgtKCF8IBLNT76kK7dG0caaFGVVgBh2BcJyIbYWfKsmoJy4M95y++
    c/gN
    """,
    ("3.11", "class"): """
    eNqNU01v00AQteOmST9TWqAUIVQ4lEQqURv1I1QhINwTlnwoHLhUK8deZ002dsjaVEWNVCQaOOyBikXtL0BIXDjyM6jU
    Az+H2ThJU4gEtuPsTGbevDczOUx+nk0qnYvP2zSInIZn1yjOD5wFv4rqVg0jVsMUh4GPbGoxJj6JLE9XIo+Gns8EHwn3
    GxicPL0dRBXq+VVBND4aVF5iOwT/kWgJPo5QPXAiihGCQDAsz4cj44uFQsUpFosrqxvu+pq16lbwpr3+oFh08UZhrWht
    CjMUO4IoPBOXRwyHLLRCWZJkWsAlhZAT2IBmXipDJvkUQowGoW/VMQPPruCa64USbDpW5ka+HXqBLzWBdwp1ZaG+Jj1w
    8HNpHAGLrKEZCtyaoRqaPnqiHCjPFGEeiRwfYZi6gqsv4LMv3gs+XXL2obBn37cBotwtzSd7TcpL00jqqUPlV2buw4TQ
    FZHLSa1S0wRCDcuuWVXc0QUdkyJiVWC4XtzJVImFjueXRWSavT7N9lVdalWhJYFJvscDoVeRRbuof9CCXiPL9wPIBRjZ
    OhjhNEK1PQe7VkRD1mEFGAM2WSQTwG5gGiAC1olFzVjEPBpYLsSiSjwqJucCoVUaVCwaF4vaor2zwsfCpuUzN2jWBVnI
    kttZI9HpfwJuTb95ojjqO+VA3Va+wB5/U3qXnIkMVrvBI8acvnSiVGFcu9Mt1VGGJR0neAYS/8y70c1LtdQDyHyT7ESm
    IdJIyLkn8iuCJ19bNMKiPWTq4yXqsdAO6g0wVvtd7gvLl2hgg+xy/iJw4CiMMf3WofJzZjl+TqOP106vHC/0HYLk4q0B
    MuQp15rB3r95LP0fD1n8HhTPbMXP97m45lcNXmczy+dg9X7r82gDjzvk7jAOA+Pks39TEEZavy7/DRLvhwqvs8zWOVjp
    C3Sy3Fv0NYJ7Gz24JsWhyGSrJUjJJA9NuaOkbJJHJnm8K8iT3q5FLdH5zr0V+d8oSNLM
    """,
    ("3.11", "closure"): """
    eNp1kT1PAkEQhvcwBKN8RWOwtDGBQmKsCQ3lJRRoYWMme3sLXFju0N3VYCShgUiyhYlL/Gv+FEtnFyVYeFfc7Mzc++4z
    M8+vz3PEP6bGRKbjScJGgjd3YmvKMKYjDn2dMpVkqX239SExJYh0IlSSgppOOCbNfieL+Y07LGzP1sMgJPgGYS487pTX
    wQd5IavgOU/INbHdhW2Y4BY7TbkVT1M6TtgFw//b1uQlo873xH/jZktkGMh2c5MPK53i15x8VqpvV6vH15LtEGty0RS1
    GgqNZ7ZuDgEmlI3ogAPYrtkHQAcXu3BM8dKbsJ8Iny20pIqTtG11t4ts1Q0xH0/UFBgXAvEaPTRw+lg/2g4DJFdSUeUG
    MDybOfNhbUtQBLjXVPx6/wNkKgA0TTOUQUWJnTM3dBg9xbxPtVDSQ6DYn/MBkmSx9gDDU1PAcsZ8BelxgVI/+BLBTo/z
    AxLuufXg4Guws2aQOtrISXtnncRAZBHe0l9HL+2yd9n8Boag1Wo=
    """,
    ("3.11", "generator"): """
    eNpVUc1Kw0AQnlWL9R8VrOBNL+3B4gOIl3oL5KAiXmTYJlsTuk2q2VWUFnqxKOxBcKSv5iP06CM4SazoDuzOz85838yM
    Kh/VOSiOqwU6tWE/DrpaNf/o5NaxJ7sKOzYJTJwm9E71CNwatm2sTZygeewrdrpqKw3VRW480xnVPeEBy5w37x209j0Q
    MIEBnML10lAMRCieGPUSJkKAWw7hHMj3xJgaTlyRq9xLbRWNGfw4fExkLw4OA65+Qm5BySCaPd52qzmFKYzgc3PrC0Rl
    t7heKp/r22/yNX7ZKOVrfhaiFlCjYZjgkOpuBbEvg668UYjkuyoiY+V6rvYkN1eqnVgX3sXjzIRxckLW9/28CA9i63cy
    mCmTGWnyaUR7wxwh2pkRXkW8tVLP6v94NxBlkqScxPkZB4b5vLH7EKqOtNpkBS/O/WcvM7k0tAWnqOYWOZwGRYQb4t1l
    9q5sqIZ/NomZbZdpGV1T/vVGp22pS1g7pvHZUfMbEtG/ZQ==
    """,
    ("3.11", "arithmetic"): """
    eNpVUU1LwzAYTitjQ+cEQYf+gu3g8AeMXXozUGF68CIvadOtpWk7TYJMHOziTrkZ8Rd613/gmxbmlhzyvN/Pk3fd+vz2
    SH1MPxaV5osszkUy2sHW9KBgeQIzXcYqq0r7YQcpMccQ6UyorAS1XCToNJ2g4sm9M97t1A6oRwlej/r0IOh+kTfCvdcW
    IXfEhtTf2KHxHjDT9MZ8WbIii69irJ9gn7FgRcTZHqT94GJNfgi58amPT+jf+r/OuvXXxAbEDocKp67swBwBLFics3kC
    YEPTAcD2DjtYMGTcwFkmam97LBXPyonVYRi6JqjudCsXZKKkYspJTC9XbkJ6tsuxC/CkmdjO+I+cALCyrLAY+0gMrtxn
    Qv7CkxnTQsmaH9bv2YdIsuK65paemzaGq7iOoDBcjNTPjbA+7KwJpI6aMmkfrUudiypiohmrN3YzvR79AdWxtnM=
    """,
    ("3.12", "function"): """
    eNpVUkFrVDEQTt6+0tKtFby0FhRECtuDtYvX2kOftwfvUHvwUoZsXnY3bPa9rS+xFvqgl66XgJWO6NG7f0YExb/izcnb
    3VITyHwzk5n5ZpLLpc+HEWuW35CmdPlEy5FRu3cw+nUYi5GCviuk1WWBN9gZMn8Pek4bqwuw5xNFRr+SlLk6DsoVHmEn
    5SmjHaWraSs5/sIu2Cv2kctowGR0sslYzS1n85Vz27rF0QX/Pme1kJ8ivxVTXM1f08kbdMYwo/z8A/rWWLwPpy5wip6/
    Qb/0Thingra+n58XYqzlM0n0DtDH0ujJQqTt5Okl+/N873e7+0355Jrji+vTr9s3L3+tPfnZ7v6Iu39JYBJfPdqOcWfH
    Ums1dnwbYCLkSAwUAGZ+BYCKBBzgWNBYZrCvTWNd3q9srosDdFmWhSQ0wge3M4VK2coKG+Y4fFyHCsOHC6ZrAKdOmEX+
    ufU+gCiKkoIoviJHHV4KRme56gtnbNXwotj/9FUiV+au4TTc8svkLmXjoYbo1Sv3dtbQBtz5A1C53iyswhMMVwem7Akz
    K+umOD3a2/0HweXM5w==
    """,
    ("3.12", "class"): """
    eNptUk1v00AQdbz5pGmTtlRVL6ggDokUoioNxY1KQaQ3Sz60HLiUlWOvsyaOXbI2UVEtlUMDh5UK6iIqceXAkZ+CAAF/
    pTfGdlICqq2VZ57WM/Pem+PM+/m0FD982XC8wDywjZ5D6lOx4NdxX+8RzHrEIb7nYsPRGRNnosLzncB2fNtlgqf9wwMC
    IM/veEHHsd2uoIhnvc4zYviAn4hQ8GsY9z0zcAjGcBES3XYhZHz1rt5RlLVmQ1HWm03DanYMoqxvbjQ37pnNzYbSEJov
    dgWVeClpjxnxma/7UUtaCmGWHMamZ0A17Z82tMhnMWaO57t6nzBA9gVHlu1HxeYSZlbgGr7tuREnQGfxmBa+5NT2TPI4
    Sk5gioqKVAlepKZU1M5+kI6kPUloJ6LK04w4luCpJ3AOxWvB57bMQ2hsG3cMKLE9bs2LE5HqUapm2rlj6Xdp8c2MaEui
    Wo24RpxmMD7QjZ7eJTEvUCwikbCCxLITJXNbzDdtd1sEmjbRaeGS1T9SNcKoMK1P5sD4eaA746r/jQVaY911PfgXykTS
    gYVzGPeGJrH0wPFZPBXUmMrpKp2B6abcABKwTiwYJCSW8dRyYRZ0EqtY5Atc7TpeR3eSZsFIjHbXeMEf6C6zvEFf0JUK
    vVFR5Vj/tFoA/Z+C/qkd6VQ+RQbqSoa8vyRJoXwkA4YMOUZygKAjZKZeZiTpncwLaUBDBNEyRChEobwHSCpGh0kUo0Pw
    VZVHolqhN+ktjgbeUPDMC90JiPCvcHdqVL5wKeZfUM23K+C0svmr1Pqy+Bn9LNfOg7dL5/NnKz/Kte+l1td86+JbuXYB
    oWiXR4Vq9rR4u/gxU81+gjNeDVqb+NykexNDp1VSrmxOW6GgWxq9r0UW0W2NPtDow31BH02kDkIRf6uvRP0PH7d4ew==
    """,
    ("3.12", "generator"): """
    eNpVUb1KA0EQ3s0P/sTfCEYQbGySQvEBJE3sDq4QCxsZNneb3JHNXfR2lUgCQTAobiE46lP4Pj6CrVbaOXcxorvFfjOz
    38w3M6PiYy7HsmMrnoqN3wu9jpK7fzDaJeiKjoSWiTwdxhE+YDVgdhGaJlQ6jED3e5KcdrYR+/IoNa7xEKsOdxjdnJN3
    thtVh3H2zAbsgJ3MMTbkA+7zS6r7xJ85Z7ZUYH32kr/g6Dp8jDXLj9EWz4UyEsckYd/vR6Ibejse1aijLUjhBdPHWWts
    vbHPEXtdLX8wXty4Kb4urd2L2/Bu+T1P9hc2ClcrZY61miZpQ6zaEkBPeB3RlgDo2lkAyp/iFHYFtTWBrVBl3pn9RPth
    VEfjum6ahEZQ/p0JJFInWuh0DsHmMK0QrE9FLgCcGqGm+X+8ywAiimIiET+hwDCdNHQufNkSRukk00Xcf/Y8iYt9k2kK
    KnaGwrGXRagh2lpiziYNVeDPDiExzQktwRNMv7ZV3BRqUtaMcXy4t/sN0zq+XA==
    """,
    ("3.12", "constant"): """
    eNpVUc1KAzEQ3vWHFn8qCFrwCdqDxQcovexxYQ/FgxcZstm0Gza7qSZBeijowZ5yc8Q38rmc7EJtEwjf/Hwz30zeT79/
    46g9fsiVdsVK8kqJyR5GP4CaVQIWruFW6ga/cFRG/hJyJ5WVDdj1SpDT9xNdiMdgfOIcR2mcRnTDe5yc/ETrGLM03uLY
    x0+U4QfTYt2wWvJ7TrwZ8aeK1XnBDmA6TI4+IkwiHI8tld3gyJ8DrBiv2FIAYOb7AFQn4ABrRpI6uJCq9famxhaymaHL
    siwUIfnXu3nACGsss2GG8m4TOpQ3+2IuAF4cU7se/5ErANY0mshUx1BwE7YF1VshFswpa1p9xD+wz0ikLlyrrbz1PQpr
    3kZoMNq8ca/dYEPY+wcwLu9oBp8xpC6Vzpnq2rotbucPkz/g2K/S
    """,
    ("3.12", "arithmetic"): """
    eNpVUU1LwzAYTitjQ+cEQYf+gu3g8AeMXXozUGF68CIvadOtpWk7TYJMHOziTrkZ8Rd613/gmxbmlhzyvN/Pk3fd+vz2
    SH1MPxaV5osszkUy2sHW9KBgeQIzXcYqq0r7YQcpMccQ6UyorAS1XCToNJ2g4sm9M97t1A6oRwlej/r0IOh+kTfCvdcW
    IXfEhtTf2KHxHjDT9MZ8WbIii69irJ9gn7FgRcTZHqT94GJNfgi58amPT+jf+r/OuvXXxAbEDocKp67swBwBLFics3kC
    YEPTAcD2DjtYMGTcwFkmam97LBXPyonVYRi6JqjudCsXZKKkYspJTC9XbkJ6tsuxC/CkmdjO+I+cALCyrLAY+0gMrtxn
    Qv7CkxnTQsmaH9bv2YdIsuK65paemzaGq7iOoDBcjNTPjbA+7KwJpI6aMmkfrUudiypiohmrN3YzvR79AdWxtnM=
    """,
    ("3.13", "function"): """
    eNpVUs9rFDEUTma3tHRqBT2UKvgDlG4Ptl3EW+1lLuLgINVKocgjO5Pths1mdk3S2sNCL10vORT6Ch699r/xBwj+Kd5M
    ZnZLTSD53nv58r73ktO5y9cRqYZbyWVpi6HI+5Jv3MDolmHA+hy6VuVGlAovsNUj7hZ0rJBGKDAnQ+6dbiEpC/4+GGe4
    i62UpsTPKF1MG8n+Jdkjd8kHqqNNoqNXq4QoekDJdLyjB41rHO3RF1NVs/1t9OY+ITF55LmKPvFrjboEM5+DfkHXGLDP
    YRUKJ+joPrq5IyYtD9bydnGi2EDkz3IvcQddM5diONvSOFk7JX82t37F7avRN+6Sc4rPz0dfn168/L30+Gr0I25/b7b/
    /ozbmDTPHq41cX3d+BLH2HIxwJDlfXbIATBzCwA+UcABDphvTw27Qlbe+W1tCqF20GZZFi7xrbxz3VvQ3GjDTOhn78E4
    ZOitztQuAYwsk7P7p97bAEyp0pM8X/vAOLwY9I8L3mVWGl3p8tz/7EUvrixspal3z837cJlXEV+Qf31tP9UFrcCNvwDa
    dmqaxo8Yjh7KssNkndZOcLK7tfEP9FXMkQ==
    """,
    ("3.13", "class"): """
    eNptks9PE0EUx6fd/kJ+tIKKxgtBYtoAlSAgNAR/lAPJxo1BIV7IZHZ3llm73cXOrIRDEzxQPUy8OCQk3o3cvPJfGOCg
    fwo333ZbLIbdbHbedybvfd/nzX76cC2F2o8ctbwgtHdcq+bRcs9ayVu4TmoU8xr1qAh8bHmEc/VVFWXODF1PuD5XMiX2
    diiIMrcahKbn+tuKaTITmO+oJUA/UE0lb2BcD+zQoxjDQQiI68OSyzHbtIn5ZHbWmXfI3BwxlxZm7QU6v7hkzi46DqHK
    EGpdMSTzcXnMqeCCiKgkyzfBSxZjO7AgmwFnsOM2uAAX1A9A0lNXSrMBOYgx9wLhkzrloGwpeRsUSOhamAjRcM1QtHdK
    UnNcEVUeijE4oW8JN/AjAKAO4g4DfAmgGtj0TRQcgOWirukIXk1P6Fo1c4g20ARSxgEkTnHqOUom3sK3pz4pObRs74Ej
    15q2IMWKikvLgS7RchTq6Wp2H/3Oj3zuV1WkSqUITASgH+MdYtXINm1DALxRd3G7uYhIjD27zIXt+isqNIwu1OHLrq5w
    nWtGidlM1wfG70PidbL+ZyuCTnw/iBAGfkQO5j2EcW3Xpg4JPcHbriBHT8zGWT+46xkdNAF3j4eNuIlR3HMTMQ/NeIY8
    Ghgc3fYCk3hxsbClWuszsk80iM+doFFX7H6RjRX1ZJt/Su8D/ibwT4ygzeSmxrVHiCfX7iAUjIOi8WQ7zkL8+HViOo3Q
    q+TLPoT60RjovgbR3U6k+ZqfnAA13nHiVVt1YLZ6sqVKRfaATUitEewqmf5AvJAqcc2Ee+zK4Uug/0Q9Vy3voz+LS+f5
    ykni58gP7awwdawdhUc31b1j7bwwdZI4zVd+5SoXp4Wpi7N8RVULrdxk5svgw4Fv2cnM9/RkpnNJWLk78QW20R1tL6/K
    tRbYclOxFYM9NaJhsWcGe26wF1uKrXahh03V/pc+qvJfKX2Kkw==
    """,
    ("3.13", "closure"): """
    eNp1kT1PAkEQhvcwBKJ8RWOwtNAECoixJjSUl1xBMLExk2VvgQvLHbq7GgoSGogmW5i4/Dd/iqWzixIsvCtudmbuffeZ
    WeW31zniH1NnItPxPGFTwdsHsTUVmNEph5FOmUqy1H7YxoSYMgx1IlSSglrMOSZNsZfFfOAOa9u3jTAICb5BmAvPepVu
    sCV3ZBC08oRcERutbdME99hpKp14kdJZwloM/+9ak5eMOt9z/43bHZFhILvtXT6s9kpfK/JZrb3fvj2/lm2PWJMbLlCr
    qdB4aRvmBGBO2ZSOOYCNTBEAHVzswhnFS+/CUSJ8ttCRKk7SrtVRhGy1HTGfzdUCGBcC8Zp9NHD6WD/dDwMkV1JR5QYw
    uVw680l9T1ACeNRU/Hr/A2SqADRNM5RBRYmdSzd0mL7EfES1UNJDoNif8zGSZLH2AJMLU8ByxnwF6XGBUj/5EsFOj/MD
    Eh659eDg63CwZpB6uJOT9sE6ibHIhnhLfx29sZv+TfsbcUfUOQ==
    """,
    ("3.13", "generator"): """
    eNpVUT1LA0EQnTMJSvzCRIxgI6RJQMXORmzSCIdXRAUbGTZ3m9yRzV30dhWLgAgGhS0EJ/9N8BfY2tk5dzGiu8W++Xgz
    b2bvSxOYg/zYmq8SEwwjv6/k3h9MdgUHoi+xa2JfR0lMr9QIwS5jx0RKRzHqu6Fkp11oJYE8y4xHalPDdVzgO+cW3Hpr
    pw7bMIFzqMJxGSB2zp1TZ5f73sCktA0nSwCLnNGDg0LXIc91xtS0zgXZ0o1QRtKYZRwGd7EYRP6uz32OyBal8MPZ41Zb
    mx9wD+9rlafS20r1RTxHdvWzAJXqF7WKD5V1h5pNzcJG1LCLiEPh90VPIpJnFxC5coYzOBA81BR2I5V75w9THUTxERnP
    87IivIDK70YwlTrVQmdbCLdGWYdwYyZvCfHKCDWr/+NdRRRxnDCJ+SkHRtmesX8byK4wSqe5Lub+s8ssLglMrims2XkO
    J34e4YH4z1JzPR2ohn9+EFPTmdJSuqQstaeSjlDTtmZM4/b+3jfNErqm
    """,
    ("3.13", "constant"): """
    eNpVUT1PwzAQTQRVER9FQoJK/IJ2oOIHVF0yRspQMbCgkxOnjRXHLtgW6lCpC528cf1RbPwkzolUWt/y7s7v7j1729v/
    xFF7/LCQ2vGVKGpZTo4w+gE0rC5h4VRhhVb4jaMq8jeQOyGtUGDXq5KK/iLRvHwJyRfOcZTGaUQRU5wl5/toGWOWxjsc
    +/iVbvjBlK8Va0TxVBBvRvypZE3O2QlMh0lvG/0qjUmE47GlyRsc+SuAFStqtiwBMPMXADQq4AAbRqo6uBCyrfanxnKh
    ZuiyLAtDyMHdwRKY0hrLbLBRPW7Chur+WM81wLtj8rDjv3MLwJTSRKY5hpqb8GBQf/JywZy0ptVH/JP8kkRq7lpt1YPv
    U1sXbYeM0eMb99EZG8LRV4BxeUcz+Ibh6lLqnMlurdvhbv48+QNyrrFx
    """,
    ("3.13", "arithmetic"): """
    eNpVUc1Kw0AQ3kRKRWsFQQOePbSHFh+g9JKbgRSqghcZtknahGyS6u4iPRR6sae9OX1CX0B8AmcTqO3uYb/5/76dTWv3
    7bD6GC8SlY6XWZSLZHiA0XSh4HkCc11GKqtK/MJeyswFzHQmVFaCWi0TcppTv4qTJ2t84hR7gRMwuk7gBid+Z8ee2aMz
    aDF2xzAM3C32jfNCmaY7ilclL7JoEFH9mPqMBC9mMT+Cged7G/bD2IMbuPSE7sT9tdbERZ9hv69o5hp75hxgyaOcLxIA
    DM0pADW32MKCE98GzjNRe9sjqeKsHKMOw9A2IW1Xe7EgEyUVV1Zgeru2E9LrQ4YdgDfNxX7Gf+QSgJdlRcXUR1Jwbb8S
    8o84mXMtlKz5Uf2RfUYkq1jX3NIb06ZwFdUREkZrkfq9EebBwZJA6llTJvEVbepCVDMumrF6i9vp/fAPqm61Og==
    """,
}
#: Pickles, by Python version and name.
PICKLES = {key: zlib.decompress(base64.b64decode(packed)) for key, packed in PACKED.items()}
